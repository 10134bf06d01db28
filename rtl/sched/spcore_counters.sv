// Performance counters of the whole core (docs/architecture.md section 8). Every PE is in exactly one state each
// cycle, so the five state totals add up to NumPe x cycles.
module spcore_counters
  import sparsecore_pkg::*;
  import spcore_front_pkg::*;
#(
  parameter int unsigned NumPe    = 64,
  parameter int unsigned NumLanes = 16,
  parameter int unsigned WgtBanks = 8,
  parameter int unsigned ActBanks = 8,
  parameter int unsigned IdxBanks = 8,
  localparam int unsigned MacW    = $clog2(NumLanes + 1),
  localparam int unsigned HitW    = $clog2(NumPe + 1)
) (
  input  logic                        clk_i,
  input  logic                        rst_ni,
  input  logic                        clear_i,
  input  logic                        count_i,
  input  pe_state_e [NumPe-1:0]       pe_state_i,
  input  logic [NumPe-1:0][MacW-1:0]  pe_macs_i,
  input  logic [$clog2(WgtBanks+1)-1:0] wgt_reads_i,
  input  logic [HitW-1:0]             wgt_hits_i,
  input  logic [$clog2(ActBanks+1)-1:0] act_reads_i,
  input  logic [HitW-1:0]             act_hits_i,
  input  logic [$clog2(IdxBanks+1)-1:0] idx_reads_i,
  input  logic [HitW-1:0]             idx_hits_i,
  input  logic                        line_written_i,
  input  npos_t                       line_bytes_i,
  output counters_t                   counters_o
);

  localparam int unsigned NumStates = 5;

  // ---------------------------------------------------------------------------------------------------------------
  // This cycle
  // ---------------------------------------------------------------------------------------------------------------
  logic [NumStates-1:0][HitW-1:0]    in_state;
  logic [MacW+$clog2(NumPe)-1:0]     macs;

  always_comb begin
    in_state = '0;
    macs     = '0;
    if (count_i) begin
      for (int unsigned p = 0; p < NumPe; p++) begin
        for (int unsigned s = 0; s < NumStates; s++) begin
          in_state[s] = in_state[s] + HitW'(pe_state_i[p] == pe_state_e'(s));
        end
        macs = macs + $bits(macs)'(pe_macs_i[p]);
      end
    end
  end

  // ---------------------------------------------------------------------------------------------------------------
  // Totals
  // ---------------------------------------------------------------------------------------------------------------
  counters_t counters_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      counters_q <= '0;
    end else if (clear_i) begin
      counters_q <= '0;
    end else if (count_i) begin
      counters_q.cycles        <= counters_q.cycles + 32'd1;
      counters_q.macs          <= counters_q.macs + 64'(macs);
      counters_q.busy          <= counters_q.busy + 48'(in_state[PeBusy]);
      counters_q.no_weight     <= counters_q.no_weight + 48'(in_state[PeNoWeight]);
      counters_q.no_activation <= counters_q.no_activation + 48'(in_state[PeNoActivation]);
      counters_q.drain         <= counters_q.drain + 48'(in_state[PeDrain]);
      counters_q.no_unit       <= counters_q.no_unit + 48'(in_state[PeNoUnit]);
      counters_q.wgt_reads     <= counters_q.wgt_reads + 32'(wgt_reads_i);
      counters_q.wgt_hits      <= counters_q.wgt_hits + 32'(wgt_hits_i);
      counters_q.act_reads     <= counters_q.act_reads + 32'(act_reads_i);
      counters_q.act_hits      <= counters_q.act_hits + 32'(act_hits_i);
      counters_q.idx_reads     <= counters_q.idx_reads + 32'(idx_reads_i);
      counters_q.idx_hits      <= counters_q.idx_hits + 32'(idx_hits_i);
      if (line_written_i) begin
        counters_q.lines_written <= counters_q.lines_written + 32'd1;
        counters_q.bytes_written <= counters_q.bytes_written + 32'(line_bytes_i);
      end
    end
  end

  assign counters_o = counters_q;

endmodule
