// SPDX-License-Identifier: Apache-2.0
// Hands over a PE's accumulators: when a unit has ended it asks for the drain, and once granted has the rows read and
// cleared, one a cycle; mac_array does that. After reset all rows are cleared.

`include "../common/spcore_assert.svh"

module spcore_drain_ctrl
  import sparsecore_pkg::*;
(
  input  logic                clk_i,
  input  logic                rst_ni,

  // Of the layer, unit just what the number of rows depends on is used.
  input  layer_t   [1:0]      layer_i,
  input  derived_t [1:0]      derived_i,
  input  drain_info_t         unit_i,     // the unit that ended, from end_i to its grant
  input  logic                end_i,      // with its last emission or later; once

  output logic                req_o,
  output logic [AccAddrW-1:0] last_row_o, // from a cycle after req_o
  input  logic                gnt_i,      // any time later
  output drain_row_t          row_o,      // DrainLatency cycles after it, with the row's values, which come from mac_array

  // to mac_array
  output logic                clear_o,
  output logic [AccAddrW-1:0] clear_row_o,

  output logic                unblock_o,  // pulse: the next unit's emissions may follow, two cycles later at the earliest
  output logic                done_o,     // pulse: all rows of a unit are asked for
  output logic                clearing_o  // after reset
);

  typedef enum logic [1:0] {
    StClear,    // after reset
    StAdd,
    StRequest,  // a unit is complete and asks to be drained
    StDrain
  } state_e;

  state_e              state_q, state_d;
  logic [AccAddrW-1:0] row_q, last_q;  // row to be read and cleared; last one
  logic                last;

  assign last = row_q == last_q;

  always_comb begin
    state_d = state_q;
    unique case (state_q)
      StClear:   if (last)  state_d = StAdd;
      StAdd:     if (end_i) state_d = StRequest;
      StRequest: if (gnt_i) state_d = StDrain;
      StDrain:   if (last)  state_d = StAdd;
      default:   state_d = StClear;
    endcase
  end

  assign clear_o     = state_q == StClear || state_q == StDrain;
  assign clear_row_o = row_q;
  assign req_o       = state_q == StRequest;
  assign last_row_o  = last_q;
  assign clearing_o  = state_q == StClear;
  assign done_o      = state_q == StDrain && last;
  assign unblock_o   = clear_o && last;

  // The unit's last position, in two steps behind its end; the first drain follows that by two cycles or more.
  pos_t product_q, rest_q, tile_w;
  logic [AccAddrW-1:0] last_row;

  always_comb begin
    pos_t last_pos;
    last_pos = 'x;
    last_row = '0;   // known in the request's first cycle
    if (req_o) begin
      last_pos = product_q + rest_q;
      unique case (unit_i.ctx ? derived_i[1].ratio : derived_i[0].ratio)
        RatioOne: last_row = AccAddrW'(last_pos >> 2);
        RatioTwo: last_row = AccAddrW'(last_pos >> 1);
        default:  last_row = AccAddrW'(last_pos);
      endcase
    end
  end

  always_comb begin
    tile_w = 'x;
    if (end_i) tile_w = pos_t'(unit_i.ctx ? layer_i[1].tile_w : layer_i[0].tile_w);
  end

  always_ff @(posedge clk_i) begin
    if (end_i) begin
      product_q <= pos_t'(unit_i.tile_h) * tile_w;
      rest_q    <= pos_t'(unit_i.tile_w) + ~tile_w;
    end
  end

  drain_row_t row_d, row_qq;

  assign row_d = '{valid: state_q == StDrain, last: done_o, row: row_q};

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q <= StClear;
      row_q   <= '0;
      last_q  <= '1;
      row_qq  <= '0;
      row_o   <= '0;
    end else begin
      state_q <= state_d;
      row_q   <= (clear_o && !last) ? row_q + 1'b1 : '0;
      if (!clear_o) last_q <= last_row;
      row_qq  <= row_d;
      row_o   <= row_qq;
    end
  end

  `SPCORE_ASSERT(!end_i || state_q == StAdd, "a unit ends while another one is handed over")

endmodule
