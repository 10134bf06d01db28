// SPDX-License-Identifier: Apache-2.0
// The life of a run: it is on from its start until all its descriptors have retired, or until what is under way has ended
// after an error. Of several errors in a cycle that of the first engine counts.
`include "../common/spcore_assert.svh"

module spcore_run_ctrl
  import spcore_front_pkg::*;
(
  input  logic                  clk_i,
  input  logic                  rst_ni,
  input  logic                  clear_i,      // as a reset
  input  logic                  start_i,      // all engines are idle
  output logic                  running_o,
  output logic                  stopping_o,   // an error is ending the run
  input  logic                  busy_i,       // an engine is at work; at once from its start on
  input  logic [NumEngines-1:0] retire_i,     // pulses: an engine's descriptor has ended without an error of its own
  input  logic [NumEngines-1:0] error_i,      // pulses: it has failed
  // Only how far the engines are.
  // verilator lint_off UNUSEDSIGNAL
  input  program_status_t       program_i,
  // verilator lint_on UNUSEDSIGNAL
  output logic [NumEngines-1:0] retire_o,
  output logic                  done_o,       // pulse: the run ends
  output run_error_t            error_o       // of the last run
);

  logic running_q, stopping_q;
  logic [NumEngines-1:0] retire_q;
  run_error_t error_d, error_q;

  assign done_o = running_q && (stopping_q ? !busy_i : program_i.done);

  always_comb begin
    error_d = '0;
    for (int unsigned e = NumEngines; e > 0; e--) begin
      if (error_i[e-1]) begin
        error_d = '{failed: 1'b1, engine: engine_e'(2'(e - 1)), descriptor: program_i.number[e-1],
                    iteration: program_i.iteration[e-1]};
      end
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      running_q  <= 1'b0;
      stopping_q <= 1'b0;
      retire_q   <= '0;
      error_q    <= '0;
    end else if (clear_i) begin
      running_q  <= 1'b0;
      stopping_q <= 1'b0;
      retire_q   <= '0;
      error_q    <= '0;
    end else begin
      retire_q <= running_q ? retire_i : '0;
      if (start_i) begin
        running_q <= 1'b1;
        error_q   <= '0;
      end else if (done_o) begin
        running_q  <= 1'b0;
        stopping_q <= 1'b0;
      end else if (running_q && !stopping_q && error_i != '0) begin
        stopping_q <= 1'b1;
        error_q    <= error_d;
      end
    end
  end

  assign running_o  = running_q;
  assign stopping_o = stopping_q;
  assign retire_o   = retire_q;
  assign error_o    = error_q;

  `SPCORE_ASSERT(!(start_i && (running_q || busy_i)), "a run starts while engines are at work")

endmodule
