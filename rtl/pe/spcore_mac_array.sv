// The multipliers of a PE: one activation times the L weights of a vector, one product per lane and cycle, with the
// accumulator that each product belongs to.
//
// Four lanes, a quad, share 16 accumulator banks. The channel within the quad is (lane%4 / k)*m + index; how many
// positions lie side by side in a row of the banks depends on the ratio m/k: 4, 2 or 1 for a ratio of 1, 2 or 4, and
// then position p is in row p/4, p/2 or p, in the banks {p%4, channel}, {p%2, channel} or channel.

module spcore_mac_array
  import sparsecore_pkg::*;
#(
  parameter int unsigned NumLanes = 16,
  localparam int unsigned CountW  = $clog2(NumLanes + 1)
) (
  input  logic                          clk_i,
  input  logic                          rst_ni,

  input  layer_t                        layer_i,
  input  derived_t                      derived_i,

  // the vector of the emissions from the next cycle on
  input  logic                          load_i,
  input  weight_lane_t [NumLanes-1:0]   vector_i,

  input  logic                          valid_i,
  input  pos_t                          pos_i,
  input  logic [7:0]                    act_i,
  input  logic                          end_i,      // no more emissions of this unit

  // one cycle later
  output logic                          valid_o,
  output logic [AccAddrW-1:0]           row_o,
  output logic [NumLanes-1:0]           en_o,       // lanes with two non-zero operands
  output logic [NumLanes-1:0][3:0]      bank_o,     // within the quad
  output logic signed [NumLanes-1:0][15:0] product_o,
  output logic                          end_o,
  output logic [CountW-1:0]             macs_o      // lanes enabled
);

  if (NumLanes % 4 != 0 || NumLanes == 0) begin : gen_check_lanes
    $error("%m: NumLanes = %0d, expected a multiple of 4", NumLanes);
  end

  // ---- weight vector registers ----

  logic [NumLanes-1:0][7:0] weight_q;
  logic [NumLanes-1:0][3:0] channel_q;    // within the quad
  logic [NumLanes-1:0]      nonzero_q;

  always_ff @(posedge clk_i) begin
    if (load_i) begin
      for (int unsigned l = 0; l < NumLanes; l++) begin
        weight_q[l]  <= vector_i[l].value;
        nonzero_q[l] <= vector_i[l].value != '0;
        channel_q[l] <= vector_i[l].index | 4'(({2'b00, l[1:0]} >> layer_i.k_log2) << layer_i.m_log2);
      end
    end
  end

`ifndef SYNTHESIS
  // The products of two lanes of a quad that stand for one channel would meet in one bank.
  logic loaded_q;
  always_ff @(posedge clk_i) begin
    loaded_q <= load_i;
    if (rst_ni && $time != 0 && loaded_q) begin
      for (int unsigned l = 0; l < NumLanes; l++) begin
        for (int unsigned n = l & ~32'd3; n < l; n++) begin
          if (nonzero_q[l] && nonzero_q[n] && channel_q[l] == channel_q[n]) begin
            $error("%m: lanes %0d and %0d stand for one channel, expected indices that ascend within a group", n, l);
          end
        end
      end
    end
  end
`endif

  // ---- products ----

  logic [3:0]          bank_high;
  logic [AccAddrW-1:0] row;

  always_comb begin
    unique case (derived_i.ratio)
      RatioOne: begin
        bank_high = {pos_i[1:0], 2'b00};
        row       = AccAddrW'(pos_i[PosW-1:2]);
      end
      RatioTwo: begin
        bank_high = {pos_i[0], 3'b000};
        row       = AccAddrW'(pos_i[PosW-1:1]);
      end
      default: begin
        bank_high = '0;
        row       = AccAddrW'(pos_i);
      end
    endcase
  end

  logic fire;   // some product may be non-zero
  assign fire = valid_i & (act_i != '0);

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      valid_o <= 1'b0;
      end_o   <= 1'b0;
      macs_o  <= '0;
    end else begin
      valid_o <= fire;
      end_o   <= end_i;
      macs_o  <= fire ? CountW'($countones(nonzero_q)) : '0;
    end
  end

  always_ff @(posedge clk_i) begin
    if (fire) begin
      row_o <= row;
      en_o  <= nonzero_q;
      for (int unsigned l = 0; l < NumLanes; l++) begin
        bank_o[l]    <= channel_q[l] | bank_high;
        product_o[l] <= 16'($signed({layer_i.act_signed & act_i[7], act_i}) * $signed(weight_q[l]));
      end
    end
  end

endmodule
