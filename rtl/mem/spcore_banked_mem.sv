// A banked memory with multicast (docs/architecture.md section 7): each requester asks for one address a cycle, a bank
// serves one address a cycle to everyone who asks for it, and data follow the grant by a cycle.
//
// Order within a bank: the direct port, then urgent requests, then all others; among equals round robin. Requesters whose
// address equals the winner's are granted along with it. start_i takes the round robin to its beginning, so that a layer's
// cycles do not depend on those before it.
module spcore_banked_mem
  import sparsecore_pkg::addr_t;
#(
  parameter int unsigned NumReq = 64,
  parameter int unsigned Banks  = 8,
  parameter int unsigned Depth  = 1024,   // entries of a bank
  parameter int unsigned Width  = 64,
  localparam int unsigned BankW  = $clog2(Banks),
  localparam int unsigned EntryW = $clog2(Depth),
  localparam int unsigned ReqW   = $clog2(NumReq),
  localparam int unsigned ReadW  = $clog2(Banks + 1),
  localparam int unsigned HitW   = $clog2(NumReq + 1)
) (
  input  logic                          clk_i,
  input  logic                          rst_ni,
  input  logic                          start_i,   // of a layer

  input  logic  [NumReq-1:0]            req_i,
  input  logic  [NumReq-1:0]            urgent_i,
  input  addr_t [NumReq-1:0]            addr_i,
  output logic  [NumReq-1:0]            gnt_o,
  output logic  [NumReq-1:0]            rvalid_o,
  output logic  [NumReq-1:0][Width-1:0] rdata_o,

  // direct port: address within the bank
  input  logic [Banks-1:0]              dir_en_i,
  input  logic [Banks-1:0]              dir_we_i,
  input  logic [Banks-1:0][EntryW-1:0]  dir_addr_i,
  input  logic [Banks-1:0][Width-1:0]   dir_wdata_i,
  output logic [Banks-1:0][Width-1:0]   dir_rdata_o,

  // this cycle's accesses for requesters, and requesters served beyond the first of each
  output logic [ReadW-1:0]              reads_o,
  output logic [HitW-1:0]               hits_o
);

  // ---- who asks for which bank ----

  logic [Banks-1:0][NumReq-1:0] wanted;

  always_comb begin
    wanted = '0;
    if (|req_i) begin
      for (int unsigned i = 0; i < NumReq; i++) begin
        if (req_i[i]) wanted[addr_i[i][BankW-1:0]][i] = 1'b1;
      end
    end
  end

  // ---- banks: the direct port, else one address of those that are asked for ----

  logic  [Banks-1:0] serves;
  addr_t [Banks-1:0] serve_addr;

  for (genvar b = 0; b < Banks; b++) begin : gen_bank
    logic [NumReq-1:0] candidates;
    logic [ReqW-1:0]   winner;

    always_comb begin
      candidates = '0;
      if (wanted[b] != '0 && !dir_en_i[b]) begin
        candidates = (wanted[b] & urgent_i) != '0 ? wanted[b] & urgent_i : wanted[b];
      end
    end

    spcore_round_robin #(
      .NumReq(NumReq)
    ) u_round_robin (
      .clk_i, .rst_ni, .clear_i(start_i), .req_i(candidates), .take_i(serves[b]), .choice_o(), .index_o(winner)
    );

    assign serves[b]     = candidates != '0;
    assign serve_addr[b] = serves[b] ? addr_i[winner] : '0;

    spcore_mem_1rw #(
      .NumWords(Depth), .DataWidth(Width)
    ) u_bank (
      .clk_i,
      .en_i   (dir_en_i[b] | serves[b]),
      .we_i   (dir_en_i[b] & dir_we_i[b]),
      .addr_i (dir_en_i[b] ? dir_addr_i[b] : serve_addr[b][BankW+:EntryW]),
      .wdata_i(dir_wdata_i[b]),
      .rdata_o(dir_rdata_o[b])
    );
  end

  // ---- grants, and data a cycle later ----

  logic [NumReq-1:0][BankW-1:0] from_q;

  always_comb begin
    gnt_o = '0;
    if (|serves) begin
      for (int unsigned i = 0; i < NumReq; i++) begin
        if (req_i[i]) begin
          gnt_o[i] = serves[addr_i[i][BankW-1:0]] && serve_addr[addr_i[i][BankW-1:0]] == addr_i[i];
        end
      end
    end
  end

  assign reads_o = ReadW'($countones(serves));
  assign hits_o  = HitW'($countones(gnt_o)) - HitW'(reads_o);

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) rvalid_o <= '0;
    else         rvalid_o <= gnt_o;
  end

  always_ff @(posedge clk_i) begin
    if (|serves) begin
      for (int unsigned i = 0; i < NumReq; i++) begin
        if (gnt_o[i]) from_q[i] <= addr_i[i][BankW-1:0];
      end
    end
  end

  always_comb begin
    for (int unsigned i = 0; i < NumReq; i++) rdata_o[i] = rvalid_o[i] ? dir_rdata_o[from_q[i]] : '0;
  end

  if (Banks < 2 || (Banks & (Banks - 1)) != 0) begin : gen_check_banks
    $error("%m: Banks = %0d, expected a power of two from 2", Banks);
  end

endmodule
