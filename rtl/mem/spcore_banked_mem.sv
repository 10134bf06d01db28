// SPDX-License-Identifier: Apache-2.0
// A banked memory with multicast (docs/architecture.md section 7): each requester asks for one address a cycle, a bank
// serves one address a cycle to everyone whose request for it is there, and words come back in order, three cycles after
// their request at the earliest.
//
// Requesters stand in groups (request_group). A group offers one address a cycle to the banks and gets one word a cycle
// for all its members, over one multiplexer: an urgent member's, of these the lowest. Order within a bank: the direct port,
// then urgent offers, then all others; among equals round robin. Offers of the winner's address are taken along with it.
// start_i takes the round robin to its beginning, so that a layer's cycles do not depend on those before it.
module spcore_banked_mem
  import sparsecore_pkg::*;
#(
  parameter int unsigned NumReq    = 64,
  parameter int unsigned GroupSize = (NumReq + 15) / 16,   // 16 groups at most
  parameter int unsigned Banks     = 8,
  parameter int unsigned Depth     = 1024,   // entries of a bank
  parameter int unsigned Width     = 64,
  localparam int unsigned EntryW = $clog2(Depth),
  localparam int unsigned ReadW  = $clog2(Banks + 1),
  localparam int unsigned HitW   = $clog2(NumReq + 1)
) (
  input  logic                             clk_i,
  input  logic                             rst_ni,
  input  logic                             start_i,   // of a layer

  input  mem_req_t [NumReq-1:0]            req_i,
  output mem_rsp_t [NumReq-1:0]            rsp_o,
  output logic     [NumReq-1:0][Width-1:0] rdata_o,   // with rvalid

  // direct port: address within the bank, data a cycle later
  input  logic [Banks-1:0]                 dir_en_i,
  input  logic [Banks-1:0]                 dir_we_i,
  input  logic [Banks-1:0][EntryW-1:0]     dir_addr_i,
  input  logic [Banks-1:0][Width-1:0]      dir_wdata_i,
  output logic [Banks-1:0][Width-1:0]      dir_rdata_o,

  // accesses for requesters a few cycles ago, and requesters served beyond the first of each
  output logic [ReadW-1:0]                 reads_o,
  output logic [HitW-1:0]                  hits_o
);

  localparam int unsigned BankW    = $clog2(Banks);
  localparam int unsigned ReqAddrW = BankW + EntryW;
  // A multiple of four, with members that never ask where there are fewer.
  localparam int unsigned Groups   = (NumReq + 4 * GroupSize - 1) / (4 * GroupSize) * 4;
  localparam int unsigned Members  = Groups * GroupSize;

  // ---- requests ----

  // verilator lint_off UNUSEDSIGNAL
  logic [Members-1:0]                ready;   // also of members that do not exist
  // verilator lint_on UNUSEDSIGNAL
  logic [Members-1:0]                valid, urgent;
  logic [Members-1:0][ReqAddrW-1:0]  addr;
  logic [Groups-1:0][GroupSize-1:0]  offer;
  logic [Groups-1:0]                 offer_urgent, granted;
  logic [Groups-1:0][Banks-1:0]      offer_bank;    // one-hot; 0: no offer
  logic [Groups-1:0][ReqAddrW-1:0]   offer_addr;

  always_comb begin
    valid  = '0;
    urgent = '0;
    addr   = '0;
    for (int unsigned i = 0; i < NumReq; i++) begin
      valid[i]  = req_i[i].valid;
      urgent[i] = req_i[i].urgent;
      addr[i]   = req_i[i].addr[ReqAddrW-1:0];
    end
  end

  for (genvar g = 0; g < Groups; g++) begin : gen_group
    spcore_request_group #(
      .NumReq(GroupSize), .Banks(Banks), .AddrW(ReqAddrW)
    ) u_request_group (
      .clk_i, .rst_ni,
      .valid_i(valid[g*GroupSize+:GroupSize]), .ready_o(ready[g*GroupSize+:GroupSize]),
      .addr_i(addr[g*GroupSize+:GroupSize]), .urgent_i(urgent[g*GroupSize+:GroupSize]),
      .offer_o(offer[g]), .urgent_o(offer_urgent[g]), .bank_o(offer_bank[g]), .addr_o(offer_addr[g]),
      .take_i(granted[g])
    );
  end

  // ---- banks: the direct port, else one of the addresses that are offered ----

  // Here and below, what nobody asks for is 'x: it costs no gates, and a simulator leaves it out.
  logic [Banks-1:0][Groups-1:0] choice;
  logic [Banks-1:0]             serves;
  logic [Banks-1:0][Width-1:0]  bank_rdata;

  logic [Groups-1:0][EntryW-1:0] offer_entry;

  always_comb begin
    for (int unsigned g = 0; g < Groups; g++) offer_entry[g] = offer_addr[g][BankW+:EntryW];
  end

  for (genvar b = 0; b < Banks; b++) begin : gen_bank
    logic [Groups-1:0] wanted;
    logic [EntryW-1:0] entry;

    always_comb begin
      for (int unsigned g = 0; g < Groups; g++) wanted[g] = offer_bank[g][b];
    end

    spcore_bank_arbiter #(
      .Groups(Groups), .EntryW(EntryW)
    ) u_arbiter (
      .clk_i, .rst_ni, .start_i,
      .wanted_i(wanted), .urgent_i(offer_urgent), .entry_i(offer_entry), .take_i(serves[b]),
      .choice_o(choice[b]), .entry_o(entry)
    );

    assign serves[b] = wanted != '0 && !dir_en_i[b];

    spcore_mem_1rw #(
      .NumWords(Depth), .DataWidth(Width)
    ) u_bank (
      .clk_i,
      .en_i   (dir_en_i[b] || wanted != '0),
      .we_i   (dir_en_i[b] & dir_we_i[b]),
      .addr_i (dir_en_i[b] ? dir_addr_i[b] : entry),
      .wdata_i(dir_wdata_i[b]),
      .rdata_o(bank_rdata[b])
    );
  end

  assign dir_rdata_o = bank_rdata;

  // ---- grants: the banks' choices and whoever offers the same address ----

  logic [Groups-1:0][Groups-1:0] same;
  logic [Groups-1:0]             chosen;

  always_comb begin
    same = 'x;
    for (int unsigned g = 0; g < Groups; g++) begin
      same[g][g] = 1'b1;
      if (offer_bank[g] != '0) begin
        for (int unsigned h = 0; h < g; h++) begin
          same[g][h] = offer_addr[g] == offer_addr[h];
          same[h][g] = same[g][h];
        end
      end
    end
  end

  always_comb begin
    chosen = '0;
    for (int unsigned b = 0; b < Banks; b++) chosen |= choice[b] & {Groups{~dir_en_i[b]}};
    for (int unsigned g = 0; g < Groups; g++) granted[g] = (chosen & same[g]) != '0 && offer_bank[g] != '0;
  end

  // ---- words, a cycle later ----

  logic [Groups-1:0][Banks-1:0]     from_q;   // bank whose word a group gets
  logic [Groups-1:0]                granted_q;
  logic [Groups-1:0][GroupSize-1:0] offer_q, served;
  logic [Banks-1:0]                 serves_q;
  logic [ReadW-1:0]                 reads_q;
  logic [HitW-1:0]                  served_q;
  logic [Groups-1:0][Width-1:0]     group_rdata;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      granted_q <= '0;
      serves_q  <= '0;
      reads_q   <= '0;
      served_q  <= '0;
      reads_o   <= '0;
      hits_o    <= '0;
    end else begin
      granted_q <= granted;
      serves_q  <= serves;
      reads_q   <= ReadW'($countones(serves_q));
      served_q  <= HitW'($countones(served));
      reads_o   <= reads_q;
      hits_o    <= served_q - HitW'(reads_q);
    end
  end

  always_ff @(posedge clk_i) begin
    from_q  <= offer_bank;
    offer_q <= offer;
  end

  always_comb begin
    for (int unsigned g = 0; g < Groups; g++) served[g] = granted_q[g] ? offer_q[g] : '0;
  end

  always_comb begin
    logic [Banks-1:0][Width-1:0] part;
    part        = 'x;
    group_rdata = 'x;
    for (int unsigned g = 0; g < Groups; g++) begin
      if (granted_q[g]) begin
        for (int unsigned b = 0; b < Banks; b++) part[b] = from_q[g][b] ? bank_rdata[b] : '0;
        for (int unsigned s = 1; s < Banks; s = s * 2) begin
          for (int unsigned b = 0; b < Banks; b += 2 * s) part[b] |= part[b+s];
        end
        group_rdata[g] = part[0];
      end
    end
  end

  for (genvar i = 0; i < NumReq; i++) begin : gen_rsp
    assign rsp_o[i]   = '{gnt: ready[i], rvalid: served[i/GroupSize][i%GroupSize]};
    assign rdata_o[i] = group_rdata[i/GroupSize];
  end

  if (Banks < 2 || (Banks & (Banks - 1)) != 0) begin : gen_check_banks
    $error("%m: Banks = %0d, expected a power of two from 2", Banks);
  end

endmodule
