// SPDX-License-Identifier: Apache-2.0
// Types shared by every unit of the core. Their widths do not depend on the configuration: addresses and
// dimensions are wide enough for every configuration, and each unit uses the low bits it needs.
package sparsecore_pkg;

  // A line, and so a tile, has at most 64 positions; an activation word is 8 bytes.
  parameter int unsigned LinePos   = 64;
  parameter int unsigned WordBytes = 8;
  parameter int unsigned LineWords = LinePos / WordBytes;
  parameter int unsigned PosW      = $clog2(LinePos);
  parameter int unsigned AddrW     = 24;
  parameter int unsigned AccW      = 32;
  // Rows of the Accumulation Buffer's slice of one PE: 4L banks of 32 entries.
  parameter int unsigned AccDepth  = 32;
  parameter int unsigned AccAddrW  = $clog2(AccDepth);
  // Offsets into a region buffer (one channel's input window of one tile), at most 512 positions.
  parameter int unsigned RegionW   = 9;
  // PEs that share a register of the unit on its way to them.
  parameter int unsigned UnitGroup = 16;

  // The core's configuration, built from the parameters of the top (rtl/sparsecore.sv says what they mean).
  typedef struct packed {
    int unsigned NumPe;
    int unsigned NumLanes;
    int unsigned WgtBanks;
    int unsigned WgtDepth;
    int unsigned ActBanks;
    int unsigned ActDepth;
    int unsigned IdxBanks;
    int unsigned IdxDepth;
    int unsigned ParDepth;
    int unsigned PrgDepth;
    int unsigned RegionPos;
    int unsigned NumRegions;
    int unsigned WgtQueueDepth;
    int unsigned NumSp;
    int unsigned SpLanes;
    int unsigned NumStage;
    int unsigned QueueDepth;
    int unsigned StreamBytes;
  } config_t;

  typedef logic [AddrW-1:0]          addr_t;   // vectors, words or index entries, by memory
  typedef logic [15:0]               dim_t;    // C H W K and counts of them
  typedef logic signed [17:0]        coord_t;  // input row or column; negative in the padding
  typedef logic [PosW-1:0]           pos_t;    // position in a tile or line: 0..63
  typedef logic [PosW:0]             npos_t;   // number of positions: 0..64
  typedef logic [8:0]                nlines_t; // rows, or lines along one axis, of a window: 0..274
  typedef logic [4:0]                kernel_t; // rows or columns of a kernel: 1..22
  typedef logic [1:0]                stride_t; // a stride less 1: 0..3
  typedef logic signed [7:0]         pad_t;    // padding before the plane: -64..MaxPad
  typedef logic [RegionW-1:0]        region_off_t;
  typedef logic [LinePos-1:0]        bitmap_t;
  typedef logic [RegionW-PosW-1:0]   region_word_t;   // 64 positions of a region
  typedef logic [LinePos-1:0][7:0]   line_bytes_t;
  typedef logic [15:0]               job_t;    // (tile, chunk) number in issue order over all layers, modulo 2^16
  typedef logic                      ctx_t;    // which of the two layers that may be open

  // Most rows or columns of padding on a side.
  parameter int unsigned MaxPad = 7;

  // Rows after which taps meet rows as before, for strides of 1, 2 and 4; with 3 all count as met.
  parameter int unsigned TapPhases = 4;

  // Tiles that the output plane cuts short: {at the bottom, at the right}.
  parameter int unsigned NumShapes = 4;
  typedef logic [1:0] shape_t;

  // m/k, the number of output channels a lane stands for; it sets how positions map to accumulator banks.
  typedef enum logic [1:0] {
    RatioOne  = 2'd0,
    RatioTwo  = 2'd1,
    RatioFour = 2'd2
  } ratio_e;

  typedef struct packed {
    logic [3:0]        index;  // within the group of m
    logic signed [7:0] value;
  } weight_lane_t;

  typedef struct packed {
    bitmap_t bitmap;
    addr_t   ptr;   // first word of the packed non-zero bytes
  } index_entry_t;

  // One line on its way into the Activation and Index Memories.
  typedef struct packed {
    addr_t       idx_addr;
    addr_t       ptr;
    bitmap_t     bitmap;
    logic [3:0]  words;   // 0..8
    line_bytes_t bytes;   // packed; those past the last non-zero are 0
  } line_write_t;

  // A request for a whole line by its index entry, and the answers, in order.
  typedef struct packed {
    logic  valid;
    addr_t idx_addr;
  } line_read_req_t;

  typedef struct packed {
    logic        gnt;      // the request is taken
    logic        rvalid;
    bitmap_t     bitmap;
    line_bytes_t bytes;    // packed; those past the last non-zero are 0
  } line_read_rsp_t;

  // Requantisation parameters of one output channel.
  typedef struct packed {
    logic [5:0]         shift;       // 1..62
    logic [30:0]        multiplier;
    logic signed [31:0] bias;
  } param_t;

  // Output sections that layers may append to.
  parameter int unsigned NumSections = 32;
  typedef logic [$clog2(NumSections)-1:0] section_t;

  // Layer descriptor, as the host writes it (docs/architecture.md, "Layer descriptor").
  typedef struct packed {
    logic [1:0]        k_log2;
    logic [2:0]        m_log2;
    logic              act_signed;
    logic              out_signed;
    logic              skip;
    logic              maximum;     // accumulate the largest product instead of the sum
    logic              tap_shared;  // a weight vector for each channel of a group serves all (r, s) and all chunks
    logic              residual;    // a line is added to each output line
    logic              res_signed;
    logic              out_append;  // the output section goes on where its last layer ended
    section_t          out_section;
    logic              keep_slot;      // sums stay in the staging slots, for the next layer
    logic              continue_slot;  // and are added to those that the layer before kept
    dim_t              in_c;
    dim_t              in_h;
    dim_t              in_w;
    dim_t              out_k;
    dim_t              out_h;
    dim_t              out_w;
    kernel_t           kernel_r;
    kernel_t           kernel_s;
    stride_t           stride_y;    // less 1
    stride_t           stride_x;
    pad_t              pad_top;     // negative: the first window begins so far inside the plane
    pad_t              pad_left;
    npos_t             line_h;      // input line block
    npos_t             line_w;
    dim_t              lines_y;     // input line grid
    dim_t              lines_x;
    npos_t             tile_h;      // output tile = output line block
    npos_t             tile_w;
    dim_t              tiles_y;
    dim_t              tiles_x;
    dim_t              chunks;
    dim_t              splits;
    dim_t              split_c;     // channels of a split; the last one may have fewer
    dim_t              groups;
    dim_t              group_c;      // chunk j reads so many channels from (j/group_chunks)*group_c on, the last group fewer
    dim_t              group_chunks;
    addr_t             wgt_base;
    addr_t             par_base;
    addr_t             in_idx_base;
    addr_t             out_idx_base;
    addr_t             in_pitch;    // index entries from a channel to the next
    addr_t             out_pitch;
    addr_t             out_act_base;
    addr_t             out_act_limit;  // first word past the output section
    logic signed [8:0] clamp_lo;
    logic signed [8:0] clamp_hi;
    addr_t             res_idx_base;   // residual: index entry of line 0 of channel 0, entries of a channel
    addr_t             res_pitch;
    logic [30:0]       res_multiplier;
    logic [5:0]        res_shift;      // 9..62
  } layer_t;

  // What layer_setup derives from a descriptor, constant while the layer is open. Two layers may be: who needs the descriptor
  // has both, and chooses by the context of what is at hand.
  typedef struct packed {
    ratio_e      ratio;
    logic [8:0]  rs;           // R*S
    nlines_t     win_h;        // rows of a window: (tile_h-1)*stride_y + R
    region_off_t win_w;        // region pitch: (tile_w-1)*stride_x + S
    nlines_t     last_win_h;   // of tiles that the plane cuts short
    region_off_t last_win_w;
    dim_t        chunk_k;      // output channels of a chunk: L*m/k
    addr_t       chunk_vectors;  // weight vectors from a chunk to the next: group_c*R*S, 0 if tap_shared
    addr_t       split_vectors;  // and from a split to the next: split_c*R*S, split_c if tap_shared
    addr_t       split_lines;    // index entries of a split: split_c*in_pitch
    addr_t       group_lines;    // and of a group: group_c*in_pitch
    bitmap_t     row_starts;     // bits of a line that begin a row of its block
    bitmap_t [TapPhases-1:0] tap_rows;   // those of rows that a tap meets, by the line's first row behind the window's
    logic [1:0]  line_shift;     // of so many lines, a power of two, one holds such a row
    region_off_t [LineWords-1:0] line_off;   // bit 8*i of a line lies so many positions behind bit 0 in a region
    logic        half_regions;   // two regions share a buffer: 1x1 kernels whose windows fit, see layer_setup
    region_word_t [NumShapes-1:0] last_word;  // of 64 positions of a region: the last that a tile of the shape reaches
    logic [7:0]  jobs;         // of a layer that keeps or continues slots
  } derived_t;

  // An entry of the position table of all PEs: the tile position at offset q of a region. And a word of their mask
  // table: bit i is set if offset 64*word + i is a position of a tile of that shape. There are two of each, by context.
  typedef struct packed {
    logic        valid;
    ctx_t        ctx;
    region_off_t q;
    pos_t        p;
  } pos_tab_write_t;

  typedef struct packed {
    logic    valid;
    ctx_t    ctx;
    shape_t  shape;
    region_word_t word;
    bitmap_t bits;
  } mask_tab_write_t;

  // A work unit: (output tile, chunk, range of input channels).
  typedef struct packed {
    ctx_t   ctx;
    job_t   job;
    logic   split;        // other units of the job may have its slot: it has more than one, or goes on with the layer before
    dim_t   chunk;
    addr_t  out_line;     // output line (tile) number, row-major
    npos_t  tile_h;       // rows and columns of the tile inside the output plane
    npos_t  tile_w;
    dim_t   channels;     // input channels of this unit
    addr_t  wgt_addr;     // weight vector of its first (c, r, s)
    addr_t  idx_addr;     // index entry of the window's first line in its first channel
    coord_t win_y;        // input coordinates of the window's origin
    coord_t win_x;
    dim_t   line_y;       // input coordinates of the first line that meets the window
    dim_t   line_x;
    nlines_t lines_y;     // lines that meet the window; 0 in either: it lies in the padding alone
    nlines_t lines_x;
  } unit_t;

  // What the output stage needs to know of the unit whose accumulators a PE hands over.
  typedef struct packed {
    ctx_t  ctx;
    job_t  job;
    logic  split;
    dim_t  chunk;
    addr_t out_line;
    npos_t tile_h;
    npos_t tile_w;
  } drain_info_t;

  // A request to a banked memory, and what comes back: that the request is taken, and later the word, in order.
  typedef struct packed {
    logic  valid;
    logic  urgent;   // with or without valid: the PE has nothing to do before a word is there
    addr_t addr;
  } mem_req_t;

  typedef struct packed {
    logic gnt;
    logic rvalid;
  } mem_rsp_t;

  // A PE asks to hand over a unit's accumulators; DrainLatency cycles after the grant it sends their rows, one a cycle.
  localparam int unsigned DrainLatency = 3;

  typedef struct packed {
    logic                valid;
    drain_info_t         unit;
    logic [AccAddrW-1:0] last_row;  // from a cycle after valid
  } drain_req_t;

  typedef struct packed {
    logic                valid;
    logic                last;
    logic [AccAddrW-1:0] row;
  } drain_row_t;

  // What happens to a PE in a cycle; exactly one of these.
  typedef enum logic [2:0] {
    PeBusy         = 3'd0,  // L multipliers at work
    PeNoWeight     = 3'd1,  // a pass is ready, its weight vector is not there
    PeNoActivation = 3'd2,  // a unit is assigned, no pass is ready
    PeDrain        = 3'd3,  // hands over its accumulators, or waits to
    PeNoUnit       = 3'd4
  } pe_state_e;
  localparam int unsigned NumPeStates = 5;

  // Counters of one PE (docs/architecture.md section 8).
  typedef struct packed {
    logic [31:0] busy;
    logic [31:0] no_weight;
    logic [31:0] no_activation;
    logic [31:0] drain;
    logic [31:0] no_unit;
    logic [31:0] macs;
  } pe_counters_t;

  // What they do: back to 0; a layer runs.
  typedef struct packed {
    logic clear;
    logic count;
  } pe_counting_t;

  // What parameters of that name may be, wherever they are: accumulators serve 64 positions, a region has words of 64.
  function automatic bit is_num_lanes(input int unsigned lanes);
    return lanes >= 4 && lanes <= 64 && (lanes & (lanes - 1)) == 0;
  endfunction

  function automatic bit is_region_pos(input int unsigned positions);
    return positions >= 64 && positions <= 1 << RegionW && (positions & (positions - 1)) == 0;
  endfunction

  // Bits of a line that begin a row of its block: the multiples of line_w.
  function automatic bitmap_t row_starts(input npos_t line_w);
    bitmap_t starts;
    starts = '0;
    starts[0] = 1'b1;
    for (int unsigned b = 1; b < LinePos; b++) begin
      for (int unsigned w = 1; w <= b; w++) begin
        if (b % w == 0 && line_w == npos_t'(w)) starts[b] = 1'b1;
      end
    end
    return starts;
  endfunction

  // Rows of a window that a tap meets, by their number modulo TapPhases.
  function automatic logic [TapPhases-1:0] met_rows(input layer_t layer);
    logic [TapPhases-1:0] met;
    for (int unsigned n = 0; n < TapPhases; n++) begin
      unique case (layer.stride_y)
        2'd1:    met[n] = kernel_t'(n % 2) < layer.kernel_r;
        2'd3:    met[n] = kernel_t'(n) < layer.kernel_r;
        default: met[n] = 1'b1;
      endcase
    end
    return met;
  endfunction

  // Bits of a line that begin a row of its block that is met, for a line whose first row is row `phase` of the window.
  function automatic bitmap_t tap_rows(input npos_t line_w, input logic [TapPhases-1:0] met, input int unsigned phase);
    bitmap_t rows;
    rows = '0;
    for (int unsigned w = 1; w <= LinePos; w++) begin
      for (int unsigned n = 0; n * w < LinePos; n++) begin
        if (line_w == npos_t'(w)) rows[n*w] = met[(n+phase)%TapPhases];
      end
    end
    return rows;
  endfunction

  // Kernels of one row that leave out rows, where lines are rows: just the lines that a tap meets are looked up.
  function automatic logic [1:0] line_shift(input layer_t layer);
    if (layer.kernel_r == kernel_t'(1) && layer.line_h == npos_t'(1)) begin
      if (layer.stride_y == 2'd1 && (layer.pad_top < 0 || !layer.pad_top[0])) return 2'd1;
      if (layer.stride_y == 2'd3 && (layer.pad_top < 0 || layer.pad_top[1:0] == '0)) return 2'd2;
    end
    return 2'd0;
  endfunction

endpackage
