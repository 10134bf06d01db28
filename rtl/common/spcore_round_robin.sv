// SPDX-License-Identifier: Apache-2.0
// Round-robin choice: the lowest-numbered request above the last one taken, else the lowest-numbered request.
//
// The choice is combinational; take_i says that it was used and moves the start past it, clear_i moves it to request 0.

module spcore_round_robin #(
  parameter int unsigned NumReq = 4,  // at least 2
  localparam int unsigned ReqW  = $clog2(NumReq)
) (
  input  logic              clk_i,
  input  logic              rst_ni,
  input  logic              clear_i,
  input  logic [NumReq-1:0] req_i,
  input  logic              take_i,
  output logic [NumReq-1:0] choice_o,  // one-hot; 0 without a request
  output logic [ReqW-1:0]   index_o    // of the choice
);

  logic [NumReq-1:0] above_q;  // requests above the last one taken
  logic [NumReq-1:0] pool;

  // Requests whose number has this bit set.
  function automatic logic [NumReq-1:0] with_bit(input int unsigned index_bit);
    for (int unsigned r = 0; r < NumReq; r++) with_bit[r] = 1'(r >> index_bit);
  endfunction

  assign pool     = (req_i & above_q) != '0 ? req_i & above_q : req_i;
  assign choice_o = pool & (~pool + NumReq'(1));

  for (genvar i = 0; i < ReqW; i++) begin : gen_index
    localparam logic [NumReq-1:0] WithBit = with_bit(i);
    assign index_o[i] = |(choice_o & WithBit);
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni)      above_q <= '1;
    else if (clear_i) above_q <= '1;
    else if (take_i)  above_q <= ~(choice_o | (choice_o - NumReq'(1)));
  end

  if (NumReq < 2) begin : gen_check_num_req
    $error("%m: NumReq = %0d, expected at least 2", NumReq);
  end

endmodule
