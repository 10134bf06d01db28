// SPDX-License-Identifier: Apache-2.0
// Requests of a few neighbouring requesters of a banked memory: a queue of two for each, and one address at a time that
// is offered to the banks for all members that ask for it.
//
// An offer stands until it is taken; a second one waits behind it, so that the next follows without a gap although that an
// offer was taken acts only in the next cycle. Among the members at the head of their queues the urgent go first, of these
// the lowest address: members read the same places in ascending order, so who is behind catches up, and what all read is
// read once. All that ask for the chosen address share the offer. So each member's requests are served in their order.
module spcore_request_group #(
  parameter int unsigned NumReq = 4,
  parameter int unsigned Banks  = 8,
  parameter int unsigned AddrW  = 16,   // the low bits are the bank's number
  localparam int unsigned BankW = $clog2(Banks)
) (
  input  logic                         clk_i,
  input  logic                         rst_ni,

  input  logic [NumReq-1:0]            valid_i,
  output logic [NumReq-1:0]            ready_o,
  input  logic [NumReq-1:0][AddrW-1:0] addr_i,
  input  logic [NumReq-1:0]            urgent_i,   // of the member, whatever it asks for

  output logic [NumReq-1:0]            offer_o,    // members that the offer is for; 0: none
  output logic                         urgent_o,
  output logic [Banks-1:0]             bank_o,     // of the offer, one-hot; 0: none
  output logic [AddrW-1:0]             addr_o,
  input  logic                         take_i      // only with an offer
);

  logic [NumReq-1:0]            head_q, next_q;             // places in use
  logic [NumReq-1:0][AddrW-1:0] head_addr_q, next_addr_q;
  logic [NumReq-1:0]            urgent_q;

  // ---- the next offer ----

  logic [NumReq-1:0]             candidates, choice, share, pop;   // choice: the candidates with the lowest address
  logic [NumReq-1:0][NumReq-1:0] below, same;                      // [i][j]: i's address and j's
  logic [AddrW-1:0]              addr;
  logic                          room;     // for another offer

  assign candidates = (head_q & urgent_q) != '0 ? head_q & urgent_q : head_q;
  assign pop        = room ? share : '0;

  always_comb begin
    below  = 'x;
    same   = 'x;
    choice = 'x;
    addr   = 'x;
    share  = '0;
    if (head_q != '0) begin
      below = '0;
      same  = '0;
      for (int unsigned i = 0; i < NumReq; i++) begin
        for (int unsigned j = 0; j < i; j++) begin
          below[i][j] = head_addr_q[i] < head_addr_q[j];
          same[i][j]  = head_addr_q[i] == head_addr_q[j];
          below[j][i] = !below[i][j] && !same[i][j];
          same[j][i]  = same[i][j];
        end
        same[i][i] = 1'b1;
      end
      addr = '0;
      for (int unsigned i = 0; i < NumReq; i++) begin
        choice[i] = candidates[i];
        for (int unsigned j = 0; j < NumReq; j++) if (candidates[j] && below[j][i]) choice[i] = 1'b0;
        if (choice[i]) addr |= head_addr_q[i];
      end
      for (int unsigned i = 0; i < NumReq; i++) share[i] = head_q[i] && (choice & same[i]) != '0;
    end
  end

  // ---- offers: the first, or the second where the first was taken in the previous cycle ----

  logic [NumReq-1:0] first_q, first_next, second_q, second_left, second_next;   // members
  logic [Banks-1:0]  first_bank_q, second_bank_q, bank;
  logic [AddrW-1:0]  first_addr_q, second_addr_q;
  logic              first_urgent_q, second_urgent_q;
  logic              taken_q, stands;

  assign offer_o     = taken_q ? second_q : first_q;
  assign urgent_o    = taken_q ? second_urgent_q : first_urgent_q;
  assign bank_o      = taken_q ? second_bank_q : first_bank_q;
  assign addr_o      = taken_q ? second_addr_q : first_addr_q;
  assign bank        = head_q != '0 ? Banks'(1) << addr[BankW-1:0] : '0;
  assign stands      = offer_o != '0;
  assign second_left = taken_q ? '0 : second_q;
  assign room        = second_left == '0;
  assign first_next  = stands ? offer_o : share;
  assign second_next = !stands ? '0 : room ? share : second_left;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      first_q         <= '0;
      second_q        <= '0;
      first_bank_q    <= '0;
      second_bank_q   <= '0;
      first_urgent_q  <= 1'b0;
      second_urgent_q <= 1'b0;
      taken_q         <= 1'b0;
    end else begin
      first_q         <= first_next;
      second_q        <= second_next;
      first_bank_q    <= stands ? bank_o : bank;
      second_bank_q   <= !stands ? '0 : room ? bank : second_bank_q;
      first_urgent_q  <= (first_next & urgent_q) != '0;
      second_urgent_q <= (second_next & urgent_q) != '0;
      taken_q         <= take_i;
    end
  end

  always_ff @(posedge clk_i) begin
    if (!stands)      first_addr_q <= addr;
    else if (taken_q) first_addr_q <= second_addr_q;
    if (room)         second_addr_q <= addr;
  end

  // ---- queues ----

  assign ready_o = ~next_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      head_q   <= '0;
      next_q   <= '0;
      urgent_q <= '0;
    end else begin
      head_q   <= (head_q & ~pop) | next_q | (valid_i & ready_o);
      next_q   <= (next_q | (valid_i & head_q)) & ~pop;
      urgent_q <= urgent_i;
    end
  end

  always_ff @(posedge clk_i) begin
    for (int unsigned i = 0; i < NumReq; i++) begin
      if (pop[i] || (valid_i[i] && !head_q[i])) head_addr_q[i] <= next_q[i] ? next_addr_q[i] : addr_i[i];
      if (valid_i[i] && !next_q[i])             next_addr_q[i] <= addr_i[i];
    end
  end

endmodule
