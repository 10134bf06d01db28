// spcore_round_robin: one requester of those that ask is chosen, and a requester that keeps asking has its turn before
// any other has two.
module round_robin_proof #(
  parameter int unsigned NumReq = 4,
  localparam int unsigned ReqW  = $clog2(NumReq)
) (
  input logic              clk_i,
  input logic              clear_i,
  input logic [NumReq-1:0] req_i,
  input logic              take_i,
  input logic [ReqW-1:0]   watched_i,   // keeps asking
  input logic [ReqW-1:0]   other_i
);

  logic rst_n = 1'b0;
  always_ff @(posedge clk_i) rst_n <= 1'b1;

  logic [NumReq-1:0] choice;
  logic [ReqW-1:0]   index;
  logic              take;

  assign take = take_i & (req_i != '0);

  spcore_round_robin #(
    .NumReq(NumReq)
  ) u_round_robin (
    .clk_i,
    .rst_ni  (rst_n),
    .clear_i,
    .req_i,
    .take_i  (take),
    .choice_o(choice),
    .index_o (index)
  );

  // Two requesters that the solver chooses once.
  logic            chosen_q = 1'b0;
  logic [ReqW-1:0] watched_q, other_q;
  logic            other_had_q = 1'b0;   // the other was taken since the watched one last was, or began to ask

  always_ff @(posedge clk_i) begin
    chosen_q <= 1'b1;
    if (!chosen_q) begin
      watched_q <= watched_i;
      other_q   <= other_i;
    end
    if (!chosen_q || clear_i || !req_i[watched_q] || (take && choice[watched_q])) other_had_q <= 1'b0;
    else if (take && choice[other_q])                                             other_had_q <= 1'b1;
  end

  always_ff @(posedge clk_i) begin
    if (rst_n && chosen_q) begin
      in_range : assume (32'(watched_q) < NumReq && 32'(other_q) < NumReq && watched_q != other_q);
      one      : assert ((choice & (choice - NumReq'(1))) == '0);
      asks     : assert ((choice & ~req_i) == '0);
      some     : assert ((choice != '0) == (req_i != '0));
      number   : assert (req_i == '0 || choice[index]);
      fair     : assert (!(other_had_q && req_i[watched_q] && take && choice[other_q]));
      waits    : cover (other_had_q && req_i[watched_q] && take && choice[watched_q]);
    end
  end

endmodule
