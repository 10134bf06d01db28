// SPDX-License-Identifier: Apache-2.0
// One axis of tile_walk: the window of the present tile, and the lines that meet it.
//
// A line's number is floor(coordinate / block). Only the first tile's is divided, a bit a cycle; from tile to tile quotient and
// remainder move on by those of the step, so neither multiplier nor divider stands in the way of a tile a cycle.
// Coordinates may be negative: dividends are made so by borrowing 1 once for every row or column of padding. Where the
// first window begins inside the plane they begin with what lies before it.
module spcore_axis_walk
  import sparsecore_pkg::*;
  import spcore_sched_pkg::*;
#(
  parameter bit WithEntry = 1'b1  // 0: lines follow each other in the Index Memory, entries count as lines do
) (
  input  logic     clk_i,
  input  axis_t    axis_i,       // static
  // verilator lint_off UNUSEDSIGNAL
  input  addr_t    pitch_i,      // index entries from a line to the next along this axis, WithEntry alone; static
  // verilator lint_on UNUSEDSIGNAL
  input  axis_op_e op_i,
  input  div_e     div_i,        // for load, borrow and store
  output logic     last_o,       // the present tile is the last one, the next step goes to the first
  // Window of the present tile, or of the first one, a cycle after load
  input  logic     load_i,
  input  logic     first_i,
  output span_t    span_o
);

  // Quotients are signed; a dividend has up to 17 bits (a row or column of a plane of 2^16, and padding).
  typedef logic signed [17:0] quot_t;

  // ---- where the present tile stands; last_q and last_rem_q divide as well ----
  quot_t  first_q, last_q;           // lines of the window's origin and of its end
  npos_t  first_rem_q, last_rem_q;   // and their places in those lines
  coord_t origin_q;
  dim_t   left_q;                    // output rows or columns from this tile on
  logic   rewind_q;                  // the next step goes to the first tile
  // What is divided once
  quot_t  step_q, end_q, origin_line_q, first_end_q;
  npos_t  step_rem_q, origin_rem_q, first_end_rem_q;

  logic [8:0] tile_step;   // from a tile's window to the next one's
  assign tile_step = 9'(axis_i.tile) * (9'(axis_i.stride) + 9'd1);

  // Of what lies between the windows of a tile's, or all, outputs, and the last window: its end.
  quot_t dividend, inset;
  assign inset = axis_i.pad < 0 ? -quot_t'(axis_i.pad) : '0;
  always_comb begin
    unique case (div_i)
      DivStep:   dividend = quot_t'({9'b0, tile_step});
      DivEnd:    dividend = (quot_t'({2'b00, axis_i.out_size}) - 18'sd1) * (18'(axis_i.stride) + 18'sd1) +
                            quot_t'({13'b0, axis_i.kernel}) - 18'sd1 + inset;
      DivLast:   dividend = quot_t'({9'b0, tile_step}) - 18'(axis_i.stride) - 18'sd1 +
                            quot_t'({13'b0, axis_i.kernel}) - 18'sd1 + inset;
      default:   dividend = inset;
    endcase
  end

  logic [7:0] part, part_less;
  logic       quot_bit;
  assign part      = {last_rem_q, last_q[16]};
  assign part_less = part - 8'(axis_i.line);
  assign quot_bit  = part >= 8'(axis_i.line);

  always_ff @(posedge clk_i) begin
    if (op_i == AxisStore) begin
      unique case (div_i)
        DivStep: begin
          step_q     <= last_q;
          step_rem_q <= last_rem_q;
        end
        DivEnd: end_q <= last_q;
        DivLast: begin
          first_end_q     <= last_q;
          first_end_rem_q <= last_rem_q;
        end
        default: begin
          origin_line_q <= last_q;
          origin_rem_q  <= last_rem_q;
        end
      endcase
    end
  end

  // ---- one step on: a remainder that reaches the block makes one line more ----
  logic [7:0] first_sum, last_sum;
  logic       first_carry, last_carry;
  dim_t       left_next;
  assign first_sum   = first_rem_q + step_rem_q;
  assign last_sum    = last_rem_q + step_rem_q;
  assign first_carry = first_sum >= 8'(axis_i.line);
  assign last_carry  = last_sum >= 8'(axis_i.line);
  assign left_next   = left_q - dim_t'(axis_i.tile);
  assign last_o      = rewind_q;

  always_ff @(posedge clk_i) begin
    if (op_i == AxisLoad)      rewind_q <= 1'b1;
    else if (op_i == AxisStep) rewind_q <= rewind_q ? axis_i.out_size <= dim_t'(axis_i.tile) : left_next <= dim_t'(axis_i.tile);
  end

  always_ff @(posedge clk_i) begin
    if (op_i == AxisStep) begin
      if (rewind_q) begin
        first_q     <= origin_line_q;
        first_rem_q <= origin_rem_q;
        origin_q    <= -coord_t'(axis_i.pad);
        left_q      <= axis_i.out_size;
      end else begin
        first_q     <= first_q + step_q + quot_t'({17'b0, first_carry});
        first_rem_q <= npos_t'(first_carry ? first_sum - 8'(axis_i.line) : first_sum);
        origin_q    <= origin_q + coord_t'({9'b0, tile_step});
        left_q      <= left_next;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    unique case (op_i)
      AxisLoad: begin
        last_q     <= dividend;
        last_rem_q <= '0;
      end
      AxisDivide: begin
        last_q     <= {1'b0, last_q[15:0], quot_bit};
        last_rem_q <= npos_t'(quot_bit ? part_less : part);
      end
      AxisBorrow: begin
        if (last_rem_q == '0) begin
          last_q     <= last_q - 18'sd1;
          last_rem_q <= axis_i.line - npos_t'(1);
        end else begin
          last_rem_q <= last_rem_q - npos_t'(1);
        end
      end
      AxisStep: begin
        if (rewind_q) begin
          last_q     <= first_end_q;
          last_rem_q <= first_end_rem_q;
        end else begin
          last_q     <= last_q + step_q + quot_t'({17'b0, last_carry});
          last_rem_q <= npos_t'(last_carry ? last_sum - 8'(axis_i.line) : last_sum);
        end
      end
      default: ;
    endcase
  end

  // ---- the window ----
  coord_t origin;
  dim_t   line_first;
  quot_t  line_last;
  npos_t  line_rem;
  logic   at_start;   // the first line is line 0: the window begins in the padding

  assign origin     = first_i ? -coord_t'(axis_i.pad) : origin_q;
  assign line_first = first_i ? dim_t'(origin_line_q) : dim_t'(first_q);
  assign line_rem   = first_i ? origin_rem_q : first_rem_q;
  assign line_last  = first_i ? first_end_q : rewind_q ? end_q : last_q;
  assign at_start   = origin < 0;

  // ---- index entries before the first line: its number times the pitch, kept along ----
  addr_t entry;
  if (WithEntry) begin : gen_entry
    addr_t entry_q, step_entry_q, step_carry_q, origin_entry_q;
    always_ff @(posedge clk_i) begin
      unique case (op_i)
        AxisLoad:   entry_q <= '0;
        AxisDivide: entry_q <= (entry_q << 1) + (quot_bit ? pitch_i : '0);
        AxisBorrow: if (last_rem_q == '0) entry_q <= entry_q - pitch_i;
        AxisStore: begin
          if (div_i == DivStep) begin
            step_entry_q <= entry_q;
            step_carry_q <= entry_q + pitch_i;
          end
          origin_entry_q <= entry_q;   // the origin's is the last
        end
        AxisStep:   if (!rewind_q) entry_q <= first_carry ? entry_q + step_carry_q : entry_q + step_entry_q;
        default: ;
      endcase
    end
    assign entry = first_i ? origin_entry_q : entry_q;
  end else begin : gen_line
    assign entry = addr_t'(line_first);
  end

  always_ff @(posedge clk_i) begin
    if (load_i) begin
      span_o.origin     <= origin;
      span_o.size       <= rewind_q && !first_i ? npos_t'(left_q) : axis_i.tile;
      span_o.none       <= line_last < 0 || origin >= coord_t'({2'b00, axis_i.in_size});
      span_o.coord      <= at_start ? '0 : dim_t'(origin - coord_t'({11'b0, line_rem}));
      span_o.line_first <= at_start ? '0 : line_first;
      span_o.line_last  <= line_last >= quot_t'({2'b00, axis_i.lines}) ? axis_i.lines - dim_t'(1) : dim_t'(line_last);
      span_o.entry      <= at_start ? '0 : entry;
    end
  end

endmodule
