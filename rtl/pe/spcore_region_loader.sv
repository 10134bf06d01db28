// Spreads fetched lines into region buffers (docs/architecture.md section 7.3).
//
// A cycle takes the lowest position that is left of a line and the up to 7 behind it in the same row; so groups
// without anything to spread cost nothing. Positions keep their distance within a row, so a group is one unaligned
// piece of the region: it is rotated onto 8 byte lanes (offset q is in lane q % 8), each written in at most one place.
// Two stages: choose the group and read its packed bytes; unpack and write. A region that is complete enters a queue;
// its buffer is held until release_i. One that stayed empty is dropped unless it ends the unit.
module spcore_region_loader
  import sparsecore_pkg::*;
  import spcore_pe_pkg::*;
#(
  parameter int unsigned RegionPos  = 512,  // positions of a region: 64, 128, 256 or 512
  parameter int unsigned NumRegions = 4     // 2 to 4
) (
  input  logic                 clk_i,
  input  logic                 rst_ni,
  input  layer_t               layer_i,
  input  derived_t             derived_i,
  // Lines from line_fetch, and its read port for their packed bytes: they follow the rank by a cycle
  input  logic                 line_valid_i,
  output logic                 line_ready_o,
  input  fetched_line_t        line_i,
  output pos_t                 line_rank_o,
  input  logic [7:0][7:0]      line_bytes_i,
  // Complete regions, in order
  output logic                 region_valid_o,
  input  logic                 region_ready_i,
  output region_t              region_o,
  output logic [RegionPos-1:0] region_bitmap_o,
  // Byte at an offset of a buffer, in the same cycle
  input  region_buf_t          byte_buf_i,
  input  region_off_t          byte_off_i,
  output logic [7:0]           byte_o,
  input  logic                 release_i   // the oldest held buffer becomes free
);

  if (RegionPos < 64 || RegionPos > (1 << RegionW) || (RegionPos & (RegionPos - 1)) != 0) begin : gen_check_pos
    $error("%m: RegionPos = %0d, expected a power of two from 64 to %0d", RegionPos, 1 << RegionW);
  end
  if (NumRegions < 2 || NumRegions > MaxRegions) begin : gen_check_regions
    $error("%m: NumRegions = %0d, expected 2 to %0d", NumRegions, MaxRegions);
  end

  localparam int unsigned Rows = RegionPos / 8;
  localparam int unsigned RowW = $clog2(Rows);
  localparam int unsigned OffW = $clog2(RegionPos);
  localparam int unsigned BufW = $clog2(NumRegions);
  // Room for every held region and the end of a unit.
  localparam int unsigned QueueDepth = NumRegions + 1;
  localparam int unsigned LevelW     = $clog2(QueueDepth + 1);
  localparam int unsigned HeldW      = $clog2(NumRegions + 1);

  localparam region_buf_t LastBuffer = region_buf_t'(NumRegions - 1);

  // -------------------------------------------------------------------------------------------------------------------
  // Stage 1: choose a group
  // -------------------------------------------------------------------------------------------------------------------
  logic              begun_q;           // part of the present line is spread
  bitmap_t           left_q;            // and this is left of it
  logic              open_q;            // something of the present channel is in the buffer
  region_buf_t       write_buf_q;
  logic [HeldW-1:0]  held_q;            // buffers of complete regions
  logic [LevelW-1:0] queue_level;
  logic              s2_write_q, s2_push_q;   // stage 2 writes a group, completes a region

  logic              mark, take, line_end, channel_end, filled, push;
  bitmap_t           left, lowest, below, left_next;
  pos_t              bit_no, row;
  logic [7:0]        row_start, group, nonzero;
  region_off_t       offset;

  assign mark  = line_i.need == '0;
  assign left  = begun_q ? left_q : line_i.need;
  assign take  = line_valid_i && (mark || held_q != HeldW'(NumRegions)) &&
                 queue_level + LevelW'(s2_push_q) != LevelW'(QueueDepth);

  always_comb begin
    lowest      = left & -left;
    below       = lowest - bitmap_t'(1);
    bit_no      = '0;
    row         = '0;
    row_start   = '0;
    group       = '0;
    nonzero     = '0;
    offset      = '0;
    left_next   = '0;
    line_rank_o = '0;
    if (line_valid_i && !mark) begin
      bit_no      = pos_t'($countones(below));
      row         = pos_t'($countones(derived_i.row_starts & (below | lowest)) - 1);
      line_rank_o = pos_t'($countones(line_i.bitmap & below));
      // Up to the bit before the next row's first.
      row_start   = 8'(derived_i.row_starts >> bit_no) & 8'hfe;
      group       = 8'(left >> bit_no) & ((row_start & -row_start) - 8'd1);
      nonzero     = 8'(line_i.bitmap >> bit_no);
      offset      = line_i.origin + region_off_t'(bit_no) +
                    region_off_t'(row) * (derived_i.win_w - region_off_t'(layer_i.line_w));
      left_next   = left & ~(bitmap_t'(group) << bit_no);
    end
  end

  assign line_end     = mark || left_next == '0;
  assign line_ready_o = take && line_end;
  assign channel_end  = line_ready_o && line_i.last_of_channel;
  assign filled       = open_q || !mark;
  assign push         = channel_end && (filled || line_i.last_of_unit);

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      begun_q     <= 1'b0;
      left_q      <= '0;
      open_q      <= 1'b0;
      write_buf_q <= '0;
      held_q      <= '0;
    end else begin
      if (take) begin
        begun_q <= !line_end;
        left_q  <= left_next;
        open_q  <= filled && !channel_end;
        if (channel_end && filled) begin
          write_buf_q <= write_buf_q == LastBuffer ? '0 : write_buf_q + region_buf_t'(1);
        end
      end
      held_q <= held_q + HeldW'(channel_end && filled) - HeldW'(release_i);
    end
  end

  // -------------------------------------------------------------------------------------------------------------------
  // Stage 2: unpack and write
  // -------------------------------------------------------------------------------------------------------------------
  region_t         s2_region_q;
  logic [7:0]      s2_group_q, s2_nonzero_q;
  logic [OffW-1:0] s2_offset_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      s2_write_q <= 1'b0;
      s2_push_q  <= 1'b0;
    end else begin
      s2_write_q <= take && !mark;
      s2_push_q  <= push;
    end
  end

  always_ff @(posedge clk_i) begin
    if (take) begin
      s2_region_q <= '{
        buffer:       write_buf_q,
        empty:        !filled,
        last_of_unit: line_i.last_of_unit,
        wgt_addr:     line_i.wgt_addr,
        unit:         line_i.unit
      };
      s2_group_q   <= group;
      s2_nonzero_q <= nonzero;
      s2_offset_q  <= offset[OffW-1:0];
    end
  end

  logic [7:0][7:0] unpacked, lane_data;
  logic [7:0]      lane_group, lane_below;
  logic [2:0]      rank, turn;
  logic [RowW-1:0] s2_row;

  // Lane l takes position l - turn of the group; lanes below `turn` hold the following row.
  assign turn       = s2_offset_q[2:0];
  assign s2_row     = s2_offset_q[OffW-1:3];
  assign lane_below = (8'd1 << turn) - 8'd1;

  always_comb begin
    unpacked   = '0;
    lane_data  = '0;
    lane_group = '0;
    rank       = '0;
    if (s2_write_q) begin
      for (int unsigned i = 0; i < 8; i++) begin
        if (s2_nonzero_q[i]) unpacked[i] = line_bytes_i[rank];
        rank = rank + 3'(s2_nonzero_q[i]);
      end
      lane_data  = (unpacked << {turn, 3'b000}) | (unpacked >> (7'd64 - {1'b0, turn, 3'b000}));
      lane_group = (s2_group_q << turn) | (s2_group_q >> (4'd8 - 4'(turn)));
    end
  end

  // -------------------------------------------------------------------------------------------------------------------
  // Buffers
  // -------------------------------------------------------------------------------------------------------------------
  logic [7:0][7:0] read_lanes;
  logic [BufW-1:0] s2_buf;
  assign s2_buf = s2_region_q.buffer[BufW-1:0];

  for (genvar l = 0; l < 8; l++) begin : gen_lane
    logic [7:0]      mem_q [NumRegions * Rows];
    logic [RowW-1:0] row_addr;
    assign row_addr      = lane_below[l] ? s2_row + RowW'(1) : s2_row;
    assign read_lanes[l] = mem_q[{byte_buf_i[BufW-1:0], byte_off_i[OffW-1:3]}];
    always_ff @(posedge clk_i) begin
      if (lane_group[l]) mem_q[{s2_buf, row_addr}] <= lane_data[l];
    end
  end
  assign byte_o = read_lanes[byte_off_i[2:0]];

  // A bitmap is cleared when its buffer is released, so a region begins with an empty one.
  logic [Rows-1:0][7:0] bitmap_q [NumRegions];
  region_buf_t          oldest_buf_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      for (int unsigned b = 0; b < NumRegions; b++) bitmap_q[b] <= '0;
      oldest_buf_q <= '0;
    end else begin
      if (s2_write_q) begin
        bitmap_q[s2_buf][s2_row] <= bitmap_q[s2_buf][s2_row] | (lane_group & ~lane_below);
        if ((lane_group & lane_below) != '0) begin
          bitmap_q[s2_buf][s2_row + RowW'(1)] <= bitmap_q[s2_buf][s2_row + RowW'(1)] | (lane_group & lane_below);
        end
      end
      if (release_i) begin
        bitmap_q[oldest_buf_q[BufW-1:0]] <= '0;
        oldest_buf_q <= oldest_buf_q == LastBuffer ? '0 : oldest_buf_q + region_buf_t'(1);
      end
    end
  end

  // -------------------------------------------------------------------------------------------------------------------
  // Complete regions
  // -------------------------------------------------------------------------------------------------------------------
  spcore_fifo #(
    .Width($bits(region_t)),
    .Depth(QueueDepth)
  ) u_regions (
    .clk_i,
    .rst_ni,
    .clear_i(1'b0),
    .valid_i(s2_push_q),
    .ready_o(),   // pushed only with room
    .data_i (s2_region_q),
    .valid_o(region_valid_o),
    .ready_i(region_ready_i),
    .data_o (region_o),
    .level_o(queue_level)
  );

  assign region_bitmap_o = bitmap_q[region_o.buffer[BufW-1:0]];

endmodule
