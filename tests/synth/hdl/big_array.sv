// An array outside the wrappers; of 264 bits, and one of 256 that may be flip-flops.
module big_array (
  input  logic        clk_i,
  input  logic        we_i,
  input  logic [4:0]  addr_i,
  input  logic [32:0] wdata_i,
  output logic [32:0] rdata_o
);

  logic [32:0] too_large [8];
  logic [31:0] small_enough [8];

  always_ff @(posedge clk_i) begin
    if (we_i) begin
      too_large[addr_i[2:0]]    <= wdata_i;
      small_enough[addr_i[4:2]] <= wdata_i[31:0];
    end
    rdata_o <= too_large[addr_i[2:0]] ^ {1'b0, small_enough[addr_i[4:2]]};
  end

endmodule
