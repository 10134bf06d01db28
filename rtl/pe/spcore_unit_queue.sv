// SPDX-License-Identifier: Apache-2.0
// The units of a PE from acceptance to the hand-over of their accumulators: units pass through it in order, so its
// stages need not carry what only the output stage wants to know.
`include "../common/spcore_assert.svh"

module spcore_unit_queue
  import sparsecore_pkg::*;
#(
  parameter int unsigned Depth = 4   // at least 2
) (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic        push_i,     // only when ready
  output logic        ready_o,
  input  unit_t       unit_i,
  input  logic        pop_i,      // only when not empty
  output logic        empty_o,
  output drain_info_t oldest_o
);

  localparam int unsigned PtrW   = $clog2(Depth);
  localparam int unsigned LevelW = $clog2(Depth + 1);
  localparam logic [PtrW-1:0] Last = PtrW'(Depth - 1);

  if (Depth < 2) begin : gen_check_depth
    $error("%m: Depth = %0d, expected at least 2", Depth);
  end

  logic [PtrW-1:0]   push_ptr_q, pop_ptr_q;
  logic [LevelW-1:0] level_q;
  drain_info_t       info;

  assign ready_o = level_q != LevelW'(Depth);
  assign empty_o = level_q == '0;
  assign info    = '{ctx: unit_i.ctx, job: unit_i.job, split: unit_i.split, chunk: unit_i.chunk,
                     out_line: unit_i.out_line, tile_h: unit_i.tile_h, tile_w: unit_i.tile_w};

  spcore_regfile #(
    .NumWords(Depth), .DataWidth($bits(drain_info_t))
  ) u_units (
    .clk_i,
    .we_i   (push_i),
    .waddr_i(push_ptr_q),
    .wdata_i(info),
    .raddr_i(pop_ptr_q),
    .rdata_o(oldest_o)
  );

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      push_ptr_q <= '0;
      pop_ptr_q  <= '0;
      level_q    <= '0;
    end else begin
      if (push_i) push_ptr_q <= push_ptr_q == Last ? '0 : push_ptr_q + PtrW'(1);
      if (pop_i)  pop_ptr_q  <= pop_ptr_q == Last ? '0 : pop_ptr_q + PtrW'(1);
      level_q <= level_q + LevelW'(push_i) - LevelW'(pop_i);
    end
  end

  `SPCORE_ASSERT((ready_o || !push_i) && !(pop_i && empty_o), "lost count of the units")

endmodule
