// From the PEs' accumulators to output lines in the Activation and Index Memories (docs/architecture.md section 7,
// steps 7 to 10).
//
//   PEs > drain_arbiter > staging slots (NumStage for each of NumSp) > streaming processors > line_writer
//
// The rows of the PE that drains are permuted on their way into the slot, so that a streaming processor can read many
// positions of a channel in a cycle (spcore_output_pkg).

module spcore_output_stage
  import sparsecore_pkg::*;
  import spcore_output_pkg::*;
#(
  parameter int unsigned NumPe    = 64,
  parameter int unsigned NumLanes = 16,
  parameter int unsigned NumSp    = 2,
  parameter int unsigned SpLanes  = 32,
  parameter int unsigned NumStage = 4,
  localparam int unsigned NumBanks = 4 * NumLanes
) (
  input  logic                                        clk_i,
  input  logic                                        rst_ni,
  input  layer_t                                      layer_i,
  input  derived_t                                    derived_i,
  input  logic                                        start_i,        // of a layer
  input  job_t                                        oldest_job_i,   // open one

  input  drain_req_t  [NumPe-1:0]                     drain_req_i,
  output logic        [NumPe-1:0]                     drain_gnt_o,
  input  drain_row_t  [NumPe-1:0]                     drain_row_i,
  input  logic [NumPe-1:0][NumBanks-1:0][AccW-1:0]    drain_data_i,

  output logic        [NumSp-1:0]                     par_re_o,
  output addr_t       [NumSp-1:0]                     par_addr_o,
  input  param_t      [NumSp-1:0]                     par_i,

  output logic                                        lw_valid_o,
  input  logic                                        lw_ready_i,
  output line_write_t                                 lw_line_o,

  output logic        [NumSp-1:0]                     job_done_o,     // pulse: the job's last line is written
  output job_t        [NumSp-1:0]                     job_done_id_o,
  output logic                                        overflow_o,     // pulse: a line does not fit the output section
  output logic                                        line_written_o, // this cycle
  output npos_t                                       line_bytes_o    // of that line
);

  localparam int unsigned NumSlots = NumSp * NumStage;
  localparam int unsigned BankW    = $clog2(NumBanks);

  // ---- which PE into which slot ----

  logic [$clog2(NumPe)-1:0]    pe;
  logic [$clog2(NumSlots)-1:0] slot;
  logic                        add, complete, row_valid, row_last;
  slot_info_t [NumSlots-1:0]   slot_info;
  logic       [NumSlots-1:0]   slot_full, slot_take, slot_free, slot_read;

  logic        [NumPe-1:0] drain_req;
  drain_info_t [NumPe-1:0] drain_info;

  always_comb begin
    for (int unsigned i = 0; i < NumPe; i++) begin
      drain_req[i]  = drain_req_i[i].valid;
      drain_info[i] = drain_req_i[i].unit;
    end
  end

  assign row_valid = drain_row_i[pe].valid;
  assign row_last  = drain_row_i[pe].valid & drain_row_i[pe].last;

  spcore_drain_arbiter #(
    .NumPe(NumPe), .NumSp(NumSp), .NumStage(NumStage)
  ) u_drain_arbiter (
    .clk_i, .rst_ni, .start_i, .tile_w_i(layer_i.tile_w), .splits_i(layer_i.splits), .oldest_job_i,
    .req_i(drain_req), .info_i(drain_info), .gnt_o(drain_gnt_o),
    .pe_o(pe), .slot_o(slot), .add_o(add), .complete_o(complete), .last_i(row_last),
    .slot_info_o(slot_info), .slot_free_i(slot_free)
  );

  // ---- its rows ----

  logic [NumBanks-1:0][AccW-1:0] row_data, swapped, fill_data_q;
  row_t                          row, fill_row_q;
  logic [NumSlots-1:0]           fill_valid_q;
  logic                          fill_add_q, fill_end_q;

  always_comb begin
    row      = '0;
    row_data = '0;
    if (row_valid) begin
      row      = drain_row_i[pe].row;
      row_data = drain_data_i[pe];
    end
  end

  spcore_bank_swap #(
    .NumBanks(NumBanks)
  ) u_swap (
    .en_i(row_valid), .by_i(skew(row, BankW)), .words_i(row_data), .words_o(swapped)
  );

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) fill_valid_q <= '0;
    else         fill_valid_q <= row_valid ? NumSlots'(1) << slot : '0;
  end

  always_ff @(posedge clk_i) begin
    if (row_valid) begin
      fill_row_q  <= row;
      fill_add_q  <= add;
      fill_end_q  <= row_last & complete;
      fill_data_q <= swapped;
    end
  end

  // ---- slots and streaming processors ----

  logic         [NumSp-1:0] line_valid, line_ready;
  packed_line_t [NumSp-1:0] line;

  for (genvar p = 0; p < NumSp; p++) begin : gen_sp
    bank_t                                       select;
    row_t                                        read_row, read_low;
    logic [NumStage-1:0][NumBanks-1:0][AccW-1:0] words;

    for (genvar s = 0; s < NumStage; s++) begin : gen_slot
      spcore_staging_buffer #(
        .NumBanks(NumBanks)
      ) u_staging_buffer (
        .clk_i, .rst_ni,
        .fill_valid_i(fill_valid_q[p*NumStage+s]), .fill_row_i(fill_row_q), .fill_add_i(fill_add_q),
        .fill_end_i(fill_end_q), .fill_data_i(fill_data_q),
        .full_o(slot_full[p*NumStage+s]), .take_i(slot_take[p*NumStage+s]),
        .read_i(slot_read[p*NumStage+s]), .select_i(select), .row_i(read_row), .low_i(read_low),
        .words_o(words[s])
      );
    end

    spcore_streaming_processor #(
      .NumLanes(NumLanes), .SpLanes(SpLanes), .NumStage(NumStage)
    ) u_streaming_processor (
      .clk_i, .rst_ni, .layer_i, .derived_i,
      .full_i(slot_full[p*NumStage+:NumStage]), .info_i(slot_info[p*NumStage+:NumStage]),
      .take_o(slot_take[p*NumStage+:NumStage]), .free_o(slot_free[p*NumStage+:NumStage]),
      .read_o(slot_read[p*NumStage+:NumStage]), .select_o(select), .row_o(read_row), .low_o(read_low),
      .words_i(words),
      .par_re_o(par_re_o[p]), .par_addr_o(par_addr_o[p]), .par_i(par_i[p]),
      .line_valid_o(line_valid[p]), .line_ready_i(line_ready[p]), .line_o(line[p])
    );
  end

  spcore_line_writer #(
    .NumSp(NumSp)
  ) u_line_writer (
    .clk_i, .rst_ni, .layer_i, .derived_i, .start_i,
    .line_valid_i(line_valid), .line_ready_o(line_ready), .line_i(line),
    .lw_valid_o, .lw_ready_i, .lw_line_o,
    .job_done_o, .job_done_id_o, .overflow_o, .line_written_o, .line_bytes_o
  );

  if (NumLanes < 4 || (NumLanes & (NumLanes - 1)) != 0 || NumLanes > 64) begin : gen_check_num_lanes
    $error("%m: NumLanes = %0d, expected a power of two from 4 to 64", NumLanes);
  end

endmodule
