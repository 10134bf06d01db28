// Rules of one AXI4-Stream and a record of how it was held up, bound to the core by core_bind.sv.
//
// Rules (Arm IHI 0051B, 2.2 and 2.4): a transfer that was offered stays offered and unchanged until it is taken; TVALID
// is low in reset. While cut_i, in the reset of one side alone, an offer may be withdrawn, and a packet ends without TLAST.
// With CheckKeep, also those of the line format: TKEEP is contiguous from bit 0 and never empty.
module axis_protocol #(
  parameter int unsigned DataW     = 64,
  parameter int unsigned KeepW     = 8,
  parameter bit          CheckKeep = 1'b0
) (
  input logic             clk_i,
  input logic             rst_ni,
  input logic             cut_i,
  input logic             tvalid_i,
  input logic             tready_i,
  input logic             tlast_i,
  input logic [DataW-1:0] tdata_i,
  input logic [KeepW-1:0] tkeep_i
);

  ValidStays: assert property (@(posedge clk_i) disable iff (!rst_ni || cut_i) tvalid_i && !tready_i |=> tvalid_i)
    else $error("%m: TVALID fell before TREADY");
  DataStays: assert property (@(posedge clk_i) disable iff (!rst_ni || cut_i) tvalid_i && !tready_i |=> $stable(tdata_i))
    else $error("%m: TDATA changed before TREADY");
  KeepStays: assert property (@(posedge clk_i) disable iff (!rst_ni || cut_i) tvalid_i && !tready_i |=> $stable(tkeep_i))
    else $error("%m: TKEEP changed before TREADY");
  LastStays: assert property (@(posedge clk_i) disable iff (!rst_ni || cut_i) tvalid_i && !tready_i |=> $stable(tlast_i))
    else $error("%m: TLAST changed before TREADY");
  // Not at the first edge in reset: at the start of a simulation it is what resets the registers.
  logic was_reset_q;
  initial was_reset_q = 1'b0;
  always @(posedge clk_i) was_reset_q <= !rst_ni;
  ResetIdle: assert property (@(posedge clk_i) was_reset_q && !rst_ni |-> !tvalid_i)
    else $error("%m: TVALID in reset");
  // Nor before the reset, where an edge at time 0 meets unknown values.
  logic started_q;
  initial started_q = 1'b0;
  always @(posedge clk_i) started_q <= started_q | !rst_ni;
  if (CheckKeep) begin : gen_keep
    KeepContiguous: assert property (@(posedge clk_i) disable iff (!rst_ni || !started_q)
                                     tvalid_i |-> tkeep_i != '0 && (tkeep_i & (tkeep_i + KeepW'(1))) == '0)
      else $error("%m: TKEEP %h is not contiguous from bit 0", tkeep_i);
  end

  // Lengths of waits in four classes: 1, 2-3, 4-15, 16 and more cycles.
  typedef logic [3:0] classes_t;
  function automatic classes_t classify(input logic [4:0] length);
    if (length == 5'd0) return 4'b0000;
    if (length == 5'd1) return 4'b0001;
    if (length <= 5'd3) return 4'b0010;
    if (length <= 5'd15) return 4'b0100;
    return 4'b1000;
  endfunction

  logic [4:0] stall_q, gap_q;         // cycles of waiting before this transfer, saturating at 16
  logic       first_q;                // the next transfer starts a packet
  // Sampled by the functional coverage: stalls at a packet's first, middle and last beat, gaps before and inside packets.
  logic [19:0] seen_q;
  classes_t    stall_class, gap_class;

  assign stall_class = classify(stall_q);
  assign gap_class   = classify(gap_q);

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      stall_q <= '0;
      gap_q   <= '0;
      first_q <= 1'b1;
    end else if (cut_i || (tvalid_i && tready_i)) begin
      stall_q <= '0;
      gap_q   <= '0;
      first_q <= cut_i || tlast_i;
    end else if (tvalid_i) begin
      if (!stall_q[4]) stall_q <= stall_q + 5'd1;
    end else begin
      if (!gap_q[4]) gap_q <= gap_q + 5'd1;
    end
  end

  // Not reset: it covers the whole run.
  initial seen_q = '0;
  always_ff @(posedge clk_i) begin
    if (rst_ni && tvalid_i && tready_i) begin
      if (first_q)      seen_q[3:0]  <= seen_q[3:0]  | stall_class;
      else if (tlast_i) seen_q[11:8] <= seen_q[11:8] | stall_class;
      else              seen_q[7:4]  <= seen_q[7:4]  | stall_class;
      if (first_q)      seen_q[15:12] <= seen_q[15:12] | gap_class;
      else              seen_q[19:16] <= seen_q[19:16] | gap_class;
    end
  end

endmodule
