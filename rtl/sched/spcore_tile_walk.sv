// Walks a layer's output tiles and works out each one's window: a pipeline that delivers up to one tile a cycle.
//
// Tile rows come in the order 1..n-2, 0, n-1: the top row (whose first kernel rows fall into the padding) and the
// bottom row (often cut short) make shorter units, and short units at the end balance the PEs best.
// The first line that meets a window is floor(coordinate / block): a product with a reciprocal instead of a divider,
// exact for coordinates below 2^16 and blocks up to 64 (with r = ceil(2^22/b), x*(r*b - 2^22) < 2^22).
module spcore_tile_walk
  import sparsecore_pkg::*;
(
  input  logic     clk_i,
  input  logic     rst_ni,
  input  logic     start_i,
  input  layer_t   layer_i,
  output logic     tile_valid_o,
  input  logic     tile_ready_i,
  // Of unit_t only what depends on the tile alone; idx_addr is that of channel 0.
  output unit_t    tile_o,
  output logic     tile_last_o
);

  localparam int unsigned RecipShift = 22;
  localparam int unsigned RecipW     = RecipShift + 1;
  typedef logic [LinePos:0][RecipW-1:0] recip_table_t;

  function automatic recip_table_t make_recip_table();
    recip_table_t table_v;
    table_v[0] = '0;
    for (int unsigned b = 1; b <= LinePos; b++) begin
      table_v[b] = RecipW'(((1 << RecipShift) + b - 1) / b);
    end
    return table_v;
  endfunction
  localparam recip_table_t Recip = make_recip_table();

  function automatic dim_t divide(input dim_t x, input npos_t block);
    logic [RecipW+15:0] product;
    product = (RecipW + 16)'(x) * (RecipW + 16)'(Recip[block]);
    return dim_t'(product >> RecipShift);
  endfunction

  // The clipped window of one axis.
  typedef struct packed {
    coord_t origin;   // window origin, negative in the padding
    dim_t   first;    // first and last coordinate inside the plane
    dim_t   last;
    logic   none;     // nothing of the window is inside
    npos_t  size;     // rows or columns of the tile inside the output plane
  } span_t;

  function automatic span_t span(input dim_t tile, input npos_t tile_size, input dim_t out_size, input dim_t in_size,
                                 input logic stride2, input logic [1:0] pad, input logic [2:0] kernel);
    span_t       s;
    logic [22:0] start, left;
    coord_t      last;
    start    = 23'(tile) * 23'(tile_size);
    left     = 23'(out_size) - start;
    s.size   = left < 23'(tile_size) ? npos_t'(left) : tile_size;
    s.origin = coord_t'((18'(start) << stride2) - 18'(pad));
    last     = s.origin + coord_t'(((17'(s.size) - 17'd1) << stride2) + 17'(kernel) - 17'd1);
    s.none   = last < 0 || s.origin >= coord_t'({2'b00, in_size});
    s.first  = s.origin < 0 ? dim_t'(0) : dim_t'(s.origin);
    s.last   = last >= coord_t'({2'b00, in_size}) ? in_size - dim_t'(1) : dim_t'(last);
    return s;
  endfunction

  // ---------------------------------------------------------------------------------------------------------------
  // Stage 0: tile counters
  // ---------------------------------------------------------------------------------------------------------------
  logic advance;
  logic s0_valid_q;
  dim_t row_q, col_q, nth_q;   // nth_q: how many tile rows have been walked
  dim_t row_next;
  logic col_end, s0_last;

  assign col_end = col_q == layer_i.tiles_x - dim_t'(1);
  assign s0_last = col_end && nth_q == layer_i.tiles_y - dim_t'(1);
  always_comb begin
    if (nth_q == layer_i.tiles_y - dim_t'(2))      row_next = layer_i.tiles_y - dim_t'(1);
    else if (nth_q == layer_i.tiles_y - dim_t'(3)) row_next = '0;
    else                                           row_next = row_q + dim_t'(1);
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      s0_valid_q <= 1'b0;
      row_q      <= '0;
      col_q      <= '0;
      nth_q      <= '0;
    end else if (start_i) begin
      s0_valid_q <= 1'b1;
      row_q      <= layer_i.tiles_y > dim_t'(2) ? dim_t'(1) : '0;
      col_q      <= '0;
      nth_q      <= '0;
    end else if (advance && s0_valid_q) begin
      if (s0_last) s0_valid_q <= 1'b0;
      col_q <= col_end ? '0 : col_q + dim_t'(1);
      if (col_end) begin
        nth_q <= nth_q + dim_t'(1);
        row_q <= row_next;
      end
    end
  end

  // ---------------------------------------------------------------------------------------------------------------
  // Stages 1 to 3: clipped window, line coordinates, index address
  // ---------------------------------------------------------------------------------------------------------------
  // Stage 2: what stage 3 needs of an axis.
  typedef struct packed {
    coord_t origin;
    logic   none;
    npos_t  size;
    dim_t   line_first;
    dim_t   line_last;
  } lines_t;

  logic   s1_valid_q, s2_valid_q, s3_valid_q;
  logic   s1_last_q, s2_last_q, s3_last_q;
  addr_t  s1_out_line_q, s2_out_line_q;
  span_t  s1_y_q, s1_x_q;
  lines_t s2_y_q, s2_x_q;
  unit_t  s3_tile_q;

  function automatic lines_t lines(input span_t s, input npos_t block);
    return '{
      origin:     s.origin,
      none:       s.none,
      size:       s.size,
      line_first: divide(s.first, block),
      line_last:  divide(s.last, block)
    };
  endfunction

  function automatic nlines_t line_count(input lines_t l);
    return l.none ? '0 : nlines_t'(l.line_last - l.line_first) + nlines_t'(1);
  endfunction

  assign advance = !s3_valid_q || tile_ready_i;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      s1_valid_q <= 1'b0;
      s2_valid_q <= 1'b0;
      s3_valid_q <= 1'b0;
    end else if (advance) begin
      s1_valid_q <= s0_valid_q;
      s2_valid_q <= s1_valid_q;
      s3_valid_q <= s2_valid_q;
    end
  end

  always_ff @(posedge clk_i) begin
    if (advance) begin
      s1_last_q     <= s0_last;
      s2_last_q     <= s1_last_q;
      s3_last_q     <= s2_last_q;
      s1_out_line_q <= addr_t'(row_q) * addr_t'(layer_i.tiles_x) + addr_t'(col_q);
      s2_out_line_q <= s1_out_line_q;
      s1_y_q <= span(row_q, layer_i.tile_h, layer_i.out_h, layer_i.in_h, layer_i.stride_y2, layer_i.pad_top,
                     layer_i.kernel_r);
      s1_x_q <= span(col_q, layer_i.tile_w, layer_i.out_w, layer_i.in_w, layer_i.stride_x2, layer_i.pad_left,
                     layer_i.kernel_s);
      s2_y_q <= lines(s1_y_q, layer_i.line_h);
      s2_x_q <= lines(s1_x_q, layer_i.line_w);
      s3_tile_q <= '{
        out_line: s2_out_line_q,
        tile_h:   s2_y_q.size,
        tile_w:   s2_x_q.size,
        idx_addr: layer_i.in_idx_base + addr_t'(s2_y_q.line_first) * addr_t'(layer_i.lines_x) +
                  addr_t'(s2_x_q.line_first),
        win_y:    s2_y_q.origin,
        win_x:    s2_x_q.origin,
        line_y:   dim_t'(s2_y_q.line_first * dim_t'(layer_i.line_h)),
        line_x:   dim_t'(s2_x_q.line_first * dim_t'(layer_i.line_w)),
        lines_y:  line_count(s2_y_q),
        lines_x:  line_count(s2_x_q),
        default:  '0
      };
    end
  end

  assign tile_valid_o = s3_valid_q;
  assign tile_last_o  = s3_last_q;
  assign tile_o       = s3_tile_q;

endmodule
