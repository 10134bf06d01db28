// Writes the output lines of all streaming processors: gives each the next words of the layer's output section, in the
// order in which they come, and its index entry. A line that does not fit raises overflow_o; from then on the layer
// writes no more lines, but its jobs complete.

module spcore_line_writer
  import sparsecore_pkg::*;
  import spcore_output_pkg::*;
#(
  parameter int unsigned NumSp = 2
) (
  input  logic                     clk_i,
  input  logic                     rst_ni,
  input  layer_t                   layer_i,
  input  derived_t                 derived_i,
  input  logic                     start_i,         // of a layer

  input  logic         [NumSp-1:0] line_valid_i,
  output logic         [NumSp-1:0] line_ready_o,
  input  packed_line_t [NumSp-1:0] line_i,

  output logic                     lw_valid_o,
  input  logic                     lw_ready_i,
  output line_write_t              lw_line_o,

  output logic         [NumSp-1:0] job_done_o,      // pulse: the job's last line is written
  output job_t         [NumSp-1:0] job_done_id_o,
  output logic                     overflow_o,      // pulse
  output logic                     line_written_o,  // this cycle
  output npos_t                    line_bytes_o     // of that line
);

  // ---- whose line ----

  logic [NumSp-1:0] choice;
  packed_line_t     line;
  logic             ready;

  if (NumSp > 1) begin : gen_choice
    logic [$clog2(NumSp)-1:0] index;

    spcore_round_robin #(
      .NumReq(NumSp)
    ) u_round_robin (
      .clk_i, .rst_ni, .clear_i(start_i),
      .req_i(line_valid_i), .take_i(ready & |line_valid_i), .choice_o(choice), .index_o(index)
    );

    assign line = line_i[index];
  end else begin : gen_single
    assign choice = line_valid_i;
    assign line   = line_i;
  end

  assign line_ready_o = ready ? choice : '0;

  // ---- its place ----

  logic             valid_q, overflow_q, fits, finish;
  logic [NumSp-1:0] from_q;
  // verilator lint_off UNUSEDSIGNAL
  packed_line_t     line_q;   // channel and out_line are in entry_q
  // verilator lint_on UNUSEDSIGNAL
  addr_t            entry_q;  // index entry, from the output section's base
  addr_t            next_q;   // next free word
  logic [3:0]       words;

  assign words      = 4'((line_q.count + npos_t'(WordBytes - 1)) >> $clog2(WordBytes));
  assign fits       = ~overflow_q & (addr_t'(words) <= layer_i.out_act_limit - next_q);
  assign lw_valid_o = valid_q & fits;
  assign finish     = valid_q & (~fits | lw_ready_i);
  assign ready      = ~valid_q | finish;
  assign overflow_o = valid_q & ~fits & ~overflow_q;

  always_comb begin
    lw_line_o = '0;
    if (valid_q) begin
      lw_line_o.idx_addr = layer_i.out_idx_base + entry_q;
      lw_line_o.ptr      = next_q;
      lw_line_o.bitmap   = line_q.bitmap;
      lw_line_o.words    = words;
      lw_line_o.bytes    = line_q.bytes;
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      valid_q    <= 1'b0;
      overflow_q <= 1'b0;
      next_q     <= '0;
    end else begin
      if (ready) valid_q <= |line_valid_i;
      if (start_i) begin
        overflow_q <= 1'b0;
        next_q     <= layer_i.out_act_base;
      end else if (finish) begin
        if (fits) next_q     <= next_q + addr_t'(words);
        else      overflow_q <= 1'b1;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (ready && |line_valid_i) begin
      line_q  <= line;
      from_q  <= choice;
      entry_q <= addr_t'(line.channel) * derived_i.out_lines + line.out_line;
    end
  end

  assign job_done_o     = (finish & line_q.job_end) ? from_q : '0;
  assign job_done_id_o  = {NumSp{line_q.job}};
  assign line_written_o = finish & fits;
  assign line_bytes_o   = line_q.count;

endmodule
