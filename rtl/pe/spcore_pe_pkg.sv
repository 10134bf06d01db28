// SPDX-License-Identifier: Apache-2.0
// Types on the way of a unit's activations through a PE: line, region, segment.
package spcore_pe_pkg;
  import sparsecore_pkg::*;

  // Half of a region buffer where a region begins, and how many it takes (spcore_region_ring); a PE has up to four
  // buffers.
  parameter int unsigned MaxRegions = 4;
  typedef logic [$clog2(2*MaxRegions)-1:0] region_buf_t;
  typedef logic [1:0] region_step_t;

  // Number of weight vectors that wait for their pass.
  typedef logic [3:0] wgt_level_t;

  // A line's index entry and its share of the window, from line_walk to line_fetch.
  typedef struct packed {
    bitmap_t     bitmap;           // non-zeros, as stored
    bitmap_t     need;             // positions to be spread into the region: those inside window and plane, and
                                   // with skipping only the non-zeros
    addr_t       ptr;
    region_off_t origin;           // region offset of the line's bit 0, modulo 2^RegionW (it may lie outside)
    logic        any;              // need is not 0
    logic        words;            // nor is bitmap & need: bytes have to be read
    logic        last_of_channel;
    logic        last_of_unit;     // implies last_of_channel
  } line_entry_t;

  // A fetched line, or the mark that a channel or unit ends, from line_fetch to region_loader. The packed bytes stay in
  // line_fetch, which has a read port for them.
  typedef struct packed {
    bitmap_t     bitmap;
    bitmap_t     need;             // 0: a mark only
    region_off_t origin;
    logic        last_of_channel;
    logic        last_of_unit;
    shape_t      shape;            // of the unit's tile
    ctx_t        ctx;
    addr_t       wgt_addr;         // weight vector of (channel, r=0, s=0)
  } fetched_line_t;

  // One channel's window, spread into a region buffer; from region_loader to pass_generator. Buffers are used in turn.
  typedef struct packed {
    logic [2**$bits(region_word_t)-1:0] words;  // those of the bitmap that hold something
    logic        empty;            // no position marked, no buffer held; only as the last of a unit
    logic        last_of_unit;
    shape_t      shape;
    ctx_t        ctx;
  } region_t;

  // Words of the regions' bitmaps, which pass_generator keeps: region_loader writes them, and reads one again that it
  // has more bits for. `valid` of a read stays until the answer.
  typedef struct packed {
    logic        valid;
    region_buf_t buffer;
    region_word_t       word;
    bitmap_t     bits;
  } bitmap_write_t;

  typedef struct packed {
    logic        valid;
    region_buf_t buffer;
    region_word_t       word;
  } bitmap_read_t;

  typedef struct packed {
    logic        valid;
    bitmap_t     bits;
  } bitmap_rsp_t;

  // 64 positions' worth of a pass, from pass_generator to scanner.
  typedef struct packed {
    bitmap_t     bits;             // bit i: tile position at region offset q = 64*word + i has a non-zero at (r, s)
    region_word_t       word;
    region_off_t start;            // region offset of bit 0's byte: 64*word + r*win_w + s
    logic        first_of_pass;
    logic        release_region;   // last segment of its region
    logic        last_of_unit;     // the unit ends here; bits may be 0
    ctx_t        ctx;
  } segment_t;

endpackage
