// SPDX-License-Identifier: Apache-2.0
// Types of the output stage, and the arrangement of accumulators in a staging slot.
//
// A slot has a bank for each accumulator bank of a PE (4L) and 32 rows. A row of all banks must be written in a cycle,
// and many positions of one channel read in a cycle, which in a PE lie in 1, 2 or 4 banks (docs/architecture.md section
// 7.6). So the accumulator of bank b, row r lies in bank b ^ skew(r), row r: skew sends the low bits of the row to bank
// bits that the position does not use already (bits 3:2 in ratio 1, bit 3 in ratio 2), so that the positions of a beat
// are in different banks, up to 4L of them.
package spcore_output_pkg;
  import sparsecore_pkg::*;

  typedef logic [AccAddrW-1:0] row_t;
  typedef logic [7:0]          bank_t;  // of a slot, at most 256

  // What a slot holds.
  typedef struct packed {
    ctx_t    ctx;
    job_t    job;
    dim_t    chunk;
    addr_t   idx_addr;  // index entry of its first channel
    addr_t   res_addr;  // and the residual's
    npos_t   npos;   // positions up to the tile's last one
    bitmap_t mask;   // positions inside the output plane
  } slot_info_t;

  // Goes with the values of some positions of an output line.
  typedef struct packed {
    ctx_t    ctx;
    job_t    job;
    addr_t   idx_addr;
    bitmap_t mask;
    logic    line_end;  // the line's last values
    logic    job_end;   // and the job's
  } line_tag_t;

  // A compressed output line.
  typedef struct packed {
    ctx_t        ctx;
    job_t        job;
    addr_t       idx_addr;
    logic        job_end;
    bitmap_t     bitmap;
    npos_t       count;   // non-zero bytes
    line_bytes_t bytes;   // packed; those past the last non-zero are 0
  } packed_line_t;

  // The bytes of a line while they are packed: of each whether it is one, and how many zeros are below it, bit by bit.
  typedef struct packed {
    bitmap_t            valid;
    bitmap_t [PosW-1:0] zeros;
    line_bytes_t        bytes;
  } items_t;

  // PEs of a group of the drain network: at most eight groups.
  function automatic int unsigned group_pes(input int unsigned num_pe);
    return (num_pe + 7) / 8;
  endfunction

  // Bank bit that bit i of the row is sent to, with banks numbered by bank_w bits: 0, 1, 4, 5 .. bank_w-1, 2, 3.
  function automatic int unsigned skew_bit(input int unsigned i, input int unsigned bank_w);
    if (i < 2)          return i;
    if (i + 2 < bank_w) return i + 2;
    return i + 4 - bank_w;
  endfunction

  function automatic bank_t skew(input row_t row, input int unsigned bank_w);
    bank_t bank;
    bank = '0;
    for (int unsigned i = 0; i < AccAddrW; i++) begin
      if (skew_bit(i, bank_w) < bank_w) bank[3'(skew_bit(i, bank_w))] = row[i];
    end
    return bank;
  endfunction

  function automatic row_t unskew(input bank_t bank, input int unsigned bank_w);
    row_t row;
    row = '0;
    for (int unsigned i = 0; i < AccAddrW; i++) begin
      if (skew_bit(i, bank_w) < bank_w) row[i] = bank[3'(skew_bit(i, bank_w))];
    end
    return row;
  endfunction

  // Where a PE keeps the accumulator of a channel of the chunk and a position.
  function automatic bank_t acc_bank(input bank_t channel, input pos_t pos, input ratio_e ratio);
    unique case (ratio)
      RatioOne: return {channel[5:2], pos[1:0], channel[1:0]};
      RatioTwo: return {channel[6:3], pos[0], channel[2:0]};
      default:  return channel;
    endcase
  endfunction

  function automatic row_t acc_row(input pos_t pos, input ratio_e ratio);
    unique case (ratio)
      RatioOne: return row_t'(pos >> 2);
      RatioTwo: return row_t'(pos >> 1);
      default:  return row_t'(pos);
    endcase
  endfunction

endpackage
