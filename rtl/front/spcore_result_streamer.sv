// SPDX-License-Identifier: Apache-2.0
// Sends lines from the activation store as packets: a beat with the bitmap, then the packed bytes.
//
// Lines are read ahead into a small FIFO; a read is asked for only when the FIFO has room for its answer. Beats leave from a
// register; while a bitmap goes into it, the bits of its bytes are counted, and their sum is there for the beat after.
`include "../common/spcore_assert.svh"

module spcore_result_streamer
  import sparsecore_pkg::*;
  import spcore_front_pkg::*;
#(
  parameter int unsigned StreamBytes = 64
) (
  input  logic                     clk_i,
  input  logic                     rst_ni,

  input  res_cmd_t                 cmd_i,        // given to an idle streamer only
  output res_status_t              status_o,

  output line_read_req_t           lr_req_o,
  input  line_read_rsp_t           lr_rsp_i,

  output logic [8*StreamBytes-1:0] m_axis_tdata,
  output logic [StreamBytes-1:0]   m_axis_tkeep,
  output logic                     m_axis_tvalid,
  input  logic                     m_axis_tready,
  output logic                     m_axis_tlast
);

  localparam int unsigned Depth  = 8;  // lines read ahead: covers the store's latency at one line a cycle
  localparam int unsigned PtrW   = $clog2(Depth);
  localparam int unsigned LevelW = $clog2(Depth + 1);
  localparam int unsigned LineW  = $bits(bitmap_t) + $bits(line_bytes_t);

  if (StreamBytes != 8 && StreamBytes != 16 && StreamBytes != 32 && StreamBytes != 64) begin : gen_check_bytes
    $error("%m: StreamBytes = %0d, expected 8, 16, 32 or 64", StreamBytes);
  end

  // ---- reads ----
  // A start only enables, here and for what is to be sent: busy_q tells it from a line that goes.
  logic              busy_q;
  addr_t             addr_q, to_read_q;
  logic [LevelW-1:0] taken_q;   // FIFO places of lines asked for or held
  logic              more_q;    // to_read_q is not 0
  logic              read, line_done;

  assign lr_req_o = '{valid: more_q && taken_q != LevelW'(Depth), idx_addr: addr_q};
  assign read     = lr_req_o.valid & lr_rsp_i.gnt;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      addr_q    <= '0;
      to_read_q <= '0;
      more_q    <= 1'b0;
      taken_q   <= '0;
    end else begin
      if (cmd_i.start || read) begin
        addr_q    <= busy_q ? addr_q + 1'b1 : cmd_i.idx_base;
        to_read_q <= busy_q ? to_read_q - 1'b1 : cmd_i.lines;
        more_q    <= !busy_q || to_read_q != addr_t'(1);
      end
      if (read != line_done) taken_q <= read ? taken_q + 1'b1 : taken_q - 1'b1;
    end
  end

  // ---- lines read ahead ----
  logic [PtrW-1:0]   wr_q, rd_q;
  logic [LevelW-1:0] held_q;
  bitmap_t           bitmap;
  line_bytes_t       bytes;

  spcore_regfile #(
    .NumWords (Depth),
    .DataWidth(LineW)
  ) u_lines (
    .clk_i,
    .we_i   (lr_rsp_i.rvalid),
    .waddr_i(wr_q),
    .wdata_i({lr_rsp_i.bitmap, lr_rsp_i.bytes}),
    .raddr_i(rd_q),
    .rdata_o({bitmap, bytes})
  );

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      wr_q   <= '0;
      rd_q   <= '0;
      held_q <= '0;
    end else begin
      if (lr_rsp_i.rvalid) wr_q <= wr_q + 1'b1;
      if (line_done)   rd_q <= rd_q + 1'b1;
      if (lr_rsp_i.rvalid != line_done) held_q <= lr_rsp_i.rvalid ? held_q + 1'b1 : held_q - 1'b1;
    end
  end

  // ---- the next beat ----
  npos_t                       sent_q;      // bytes of the line that are in beats already
  logic                        in_bytes_q;  // the bitmap is
  logic [WordBytes-1:0][3:0]   counts_q;    // non-zeros of the line, by byte of its bitmap
  npos_t                       left_q, left;
  logic                        first_q;     // the line's first beat of bytes comes
  logic                        load, last;

  always_comb begin
    left = left_q;
    if (first_q) begin
      left = '0;
      for (int unsigned i = 0; i < WordBytes; i++) left = left + npos_t'(counts_q[i]);
    end
  end

  assign load      = held_q != '0 && (!m_axis_tvalid || m_axis_tready);
  assign last      = in_bytes_q ? left <= npos_t'(StreamBytes) : bitmap == '0;
  assign line_done = load & last;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      m_axis_tvalid <= 1'b0;
      in_bytes_q    <= 1'b0;
      first_q       <= 1'b0;
      sent_q        <= '0;
    end else begin
      if (load)               m_axis_tvalid <= 1'b1;
      else if (m_axis_tready) m_axis_tvalid <= 1'b0;
      if (load) begin
        in_bytes_q <= !last;
        first_q    <= !in_bytes_q;
        sent_q     <= in_bytes_q && !last ? sent_q + npos_t'(StreamBytes) : '0;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (load) begin
      left_q <= left - npos_t'(StreamBytes);
      for (int unsigned i = 0; i < WordBytes; i++) counts_q[i] <= 4'($countones(bitmap[8*i +: 8]));
      m_axis_tlast <= last;
      if (in_bytes_q) begin
        m_axis_tdata <= bytes[pos_t'(sent_q) +: StreamBytes];
        for (int unsigned b = 0; b < StreamBytes; b++) m_axis_tkeep[b] <= npos_t'(b) < left;
      end else begin
        m_axis_tdata <= (8*StreamBytes)'(bitmap);
        m_axis_tkeep <= StreamBytes'({WordBytes{1'b1}});
      end
    end
  end

  // ---- the transfer ----
  addr_t to_send_q;
  logic  sent, done_q;
  assign sent = m_axis_tvalid & m_axis_tready & m_axis_tlast;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      to_send_q <= '0;
      busy_q    <= 1'b0;
      done_q    <= 1'b0;
    end else begin
      if (cmd_i.start || sent) to_send_q <= busy_q ? to_send_q - 1'b1 : cmd_i.lines;
      if (cmd_i.start)                              busy_q <= 1'b1;
      else if (sent && to_send_q == addr_t'(1))     busy_q <= 1'b0;
      done_q <= sent && to_send_q == addr_t'(1);
    end
  end

  assign status_o = '{busy: busy_q, done: done_q};

  `SPCORE_ASSERT(!(cmd_i.start && busy_q), "a start while lines are sent")

endmodule
