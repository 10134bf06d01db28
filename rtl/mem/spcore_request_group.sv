// Requests of a few neighbouring requesters of a banked memory: a queue of two for each, and one address at a time that
// is offered to the banks for all members that ask for it.
//
// An offer stands until it is taken; the next follows without a gap. Among the members at the head of their queues the
// urgent go first, then round robin; all that ask for the chosen address share the offer. So each member's requests are
// served in their order.
module spcore_request_group #(
  parameter int unsigned NumReq = 4,
  parameter int unsigned AddrW  = 16
) (
  input  logic                         clk_i,
  input  logic                         rst_ni,
  // verilator lint_off UNUSEDSIGNAL
  input  logic                         start_i,    // of a layer; one member alone needs no order
  // verilator lint_on UNUSEDSIGNAL

  input  logic [NumReq-1:0]            valid_i,
  output logic [NumReq-1:0]            ready_o,
  input  logic [NumReq-1:0][AddrW-1:0] addr_i,
  input  logic [NumReq-1:0]            urgent_i,   // of the member, whatever it asks for

  output logic [NumReq-1:0]            offer_o,    // members that the offer is for; 0: none
  output logic                         urgent_o,
  output logic [AddrW-1:0]             addr_o,
  input  logic                         take_i      // only with an offer
);

  logic [NumReq-1:0]            head_q, next_q;             // places in use
  logic [NumReq-1:0][AddrW-1:0] head_addr_q, next_addr_q;
  logic [NumReq-1:0]            urgent_q;

  // ---- the next offer ----

  logic [NumReq-1:0] candidates, choice, share, pop;
  logic [AddrW-1:0]  addr;
  logic              offer;

  assign candidates = (head_q & urgent_q) != '0 ? head_q & urgent_q : head_q;
  assign offer      = head_q != '0 && (offer_o == '0 || take_i);
  assign pop        = offer ? share : '0;

  if (NumReq == 1) begin : gen_one
    assign choice = candidates;
  end else begin : gen_several
    spcore_round_robin #(
      .NumReq(NumReq)
    ) u_round_robin (
      .clk_i, .rst_ni, .clear_i(start_i), .req_i(candidates), .take_i(offer), .choice_o(choice), .index_o()
    );
  end

  always_comb begin
    addr  = '0;
    share = '0;
    if (head_q != '0) begin
      for (int unsigned i = 0; i < NumReq; i++) if (choice[i]) addr |= head_addr_q[i];
      for (int unsigned i = 0; i < NumReq; i++) share[i] = head_q[i] && head_addr_q[i] == addr;
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni)     offer_o <= '0;
    else if (offer)  offer_o <= share;
    else if (take_i) offer_o <= '0;
  end

  always_ff @(posedge clk_i) begin
    if (offer) addr_o <= addr;
  end

  assign urgent_o = (offer_o & urgent_q) != '0;

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
