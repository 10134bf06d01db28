// SPDX-License-Identifier: Apache-2.0
// The staging slots of a streaming processor: each holds the accumulators of one job, collected from the PEs that computed
// its units.
//
// A drain fills one slot at a time, a row of all banks a cycle, permuted on the way (spcore_output_pkg says how
// accumulators lie in the banks); the first unit of a job overwrites, the others add, all in one row of adders. When the
// job is complete the slot is full, until take_i; it is then read, each bank at the row that holds a position of the beat.
// A bank is a memory with one read and one write port.

`include "../common/spcore_assert.svh"

module spcore_staging_buffer
  import sparsecore_pkg::*;
  import spcore_output_pkg::*;
#(
  parameter int unsigned NumGroups = 8,
  parameter int unsigned NumStage  = 4,
  parameter int unsigned NumBanks  = 64,
  localparam int unsigned BankW    = $clog2(NumBanks)
) (
  input  logic                                         clk_i,
  input  logic                                         rst_ni,

  // the drain under way, from a cycle before its first row to a cycle before its last one
  input  logic       [NumGroups-1:0]                   group_i,     // where it comes from; 0 without a drain
  input  logic       [NumStage-1:0]                    slot_i,      // one
  input  logic                                         add_i,
  input  logic                                         complete_i,  // the job's last unit
  // its rows, in order from 0
  input  drain_row_t [NumGroups-1:0]                   row_i,
  input  logic [NumGroups-1:0][NumBanks-1:0][AccW-1:0] data_i,

  output logic [NumStage-1:0]                          full_o,
  input  logic [NumStage-1:0]                          take_i,

  // A bank reads the row whose bit i comes from read_row_i[0] or read_row_i[1], as says bit i of its number (unskewed).
  // The words follow a cycle later and stay.
  input  logic [NumStage-1:0]                          read_i,
  input  row_t [1:0]                                   read_row_i,
  output logic [NumBanks-1:0][AccW-1:0]                words_o
);

  // ---- the rows that come ----

  logic [NumGroups-1:0]          group_q;
  logic [NumStage-1:0]           slot_q;
  logic                          busy_q, add_q, complete_q;
  row_t                          row_q;      // the next one
  logic                          valid, last;
  logic [NumBanks-1:0][AccW-1:0] data_q;     // permuted
  logic [NumStage-1:0]           write_q, old_q;
  row_t                          write_row_q;
  logic                          end_q;

  always_comb begin
    valid = 1'b0;
    last  = 1'b0;
    for (int unsigned g = 0; g < NumGroups; g++) begin
      valid |= group_q[g] & row_i[g].valid;
      last  |= group_q[g] & row_i[g].last;
    end
  end

  // Word b comes from bank b ^ by.
  function automatic logic [NumBanks-1:0][AccW-1:0] chosen(
    input logic [NumGroups-1:0] group, input bank_t by, input logic [NumGroups-1:0][NumBanks-1:0][AccW-1:0] data
  );
    logic [NumBanks-1:0][AccW-1:0] previous;
    chosen = '0;
    for (int unsigned g = 0; g < NumGroups; g++) chosen |= {(NumBanks * AccW) {group[g]}} & data[g];
    for (int unsigned s = 0; s < BankW; s++) begin
      previous = chosen;
      for (int unsigned b = 0; b < NumBanks; b++) chosen[b] = by[s] ? previous[b^(1<<s)] : previous[b];
    end
  endfunction

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      group_q    <= '0;
      busy_q     <= 1'b0;
      slot_q     <= '0;
      add_q      <= 1'b0;
      complete_q <= 1'b0;
      row_q      <= '0;
      write_q    <= '0;
      old_q      <= '0;
      end_q      <= 1'b0;
    end else begin
      group_q    <= group_i;
      busy_q     <= |group_i;
      slot_q     <= (group_i != '0) ? slot_i : '0;
      add_q      <= add_i;
      complete_q <= complete_i;
      if (valid) row_q <= last ? '0 : row_q + 1'b1;
      write_q    <= valid ? slot_q : '0;
      old_q      <= (valid && add_q) ? slot_q : '0;
      end_q      <= valid & last & complete_q;
    end
  end

  always_ff @(posedge clk_i) begin
    if (busy_q) begin
      data_q      <= chosen(group_q, skew(row_q, BankW), data_i);
      write_row_q <= row_q;
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      full_o <= '0;
    end else begin
      full_o <= (full_o & ~take_i) | (end_q ? write_q : '0);
    end
  end

  // ---- the slots ----

  logic [NumStage-1:0]                         read_q;   // the slot that was read last
  logic [NumStage-1:0][NumBanks-1:0][AccW-1:0] words;
  logic [NumBanks-1:0][AccW-1:0]               sum;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni)      read_q <= '0;
    else if (|read_i) read_q <= read_i;
  end

  for (genvar s = 0; s < NumStage; s++) begin : gen_slot
    logic       read;
    row_t [1:0] read_row;

    assign read     = read_i[s] | (valid & add_q & slot_q[s]);
    assign read_row = (add_q & slot_q[s]) ? {row_q, row_q} : read_row_i;

    for (genvar b = 0; b < NumBanks; b++) begin : gen_bank
      localparam row_t Variant = unskew(bank_t'(b), BankW);
      row_t raddr;

      always_comb begin
        raddr = 'x;
        if (read) raddr = (read_row[0] & ~Variant) | (read_row[1] & Variant);
      end

      spcore_mem_1r1w #(
        .NumWords(AccDepth), .DataWidth(AccW)
      ) u_bank (
        .clk_i,
        .we_i(write_q[s]), .waddr_i(write_row_q), .wdata_i(sum[b]),
        .re_i(read), .raddr_i(raddr), .rdata_o(words[s][b])
      );
    end
  end

  function automatic logic [NumBanks*AccW-1:0] words_of(
    input logic [NumStage-1:0] slot, input logic [NumStage-1:0][NumBanks-1:0][AccW-1:0] all
  );
    words_of = '0;
    for (int unsigned s = 0; s < NumStage; s++) words_of |= {(NumBanks * AccW) {slot[s]}} & all[s];
  endfunction

  assign words_o = words_of(read_q, words);

  function automatic logic [NumBanks-1:0][AccW-1:0] sum_of(
    input logic [NumBanks-1:0][AccW-1:0] old, input logic [NumBanks-1:0][AccW-1:0] more
  );
    for (int unsigned b = 0; b < NumBanks; b++) sum_of[b] = old[b] + more[b];
  endfunction

  always_comb begin
    sum = 'x;
    if (write_q != '0) sum = sum_of(words_of(old_q, words), data_q);
  end

  for (genvar g = 0; g < NumGroups; g++) begin : gen_assert_row
    `SPCORE_ASSERT(!(group_q[g] && row_i[g].valid) || row_i[g].row == row_q,
                   $sformatf("row %0d, expected %0d", row_i[g].row, row_q))
  end
  `SPCORE_ASSERT((read_i & write_q) == '0, "a slot is filled while it is read")

endmodule
