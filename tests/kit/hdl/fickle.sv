// SPDX-License-Identifier: Apache-2.0
// Numbers behind a handshake, for the test of the sink: as they should come, changed while they wait, or withdrawn.
module fickle (
  input  logic       clk_i,
  input  logic       rst_ni,
  input  logic       change_i,
  input  logic       withdraw_i,
  output logic       valid_o,
  input  logic       ready_i,
  output logic [7:0] number_o
);

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      valid_o  <= 1'b1;
      number_o <= '0;
    end else begin
      valid_o  <= !withdraw_i || !valid_o;
      number_o <= number_o + 8'(change_i || (valid_o && ready_i));
    end
  end

endmodule
