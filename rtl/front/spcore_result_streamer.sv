// Sends lines from the activation store as packets: a beat with the bitmap, then the packed bytes.
//
// Lines are read ahead into a small FIFO; a read is asked for only when the FIFO has room for its answer.
module spcore_result_streamer
  import sparsecore_pkg::*;
#(
  parameter int unsigned StreamBytes = 64
) (
  input  logic                     clk_i,
  input  logic                     rst_ni,

  input  logic                     start_i,      // given to an idle streamer only
  input  addr_t                    idx_base_i,   // index entry of the first line
  input  addr_t                    lines_i,      // at least 1
  output logic                     busy_o,
  output logic                     done_o,       // pulse: the last beat is taken

  output line_read_req_t           lr_req_o,
  input  line_read_rsp_t           lr_rsp_i,

  output logic [8*StreamBytes-1:0] m_axis_tdata,
  output logic [StreamBytes-1:0]   m_axis_tkeep,
  output logic                     m_axis_tvalid,
  input  logic                     m_axis_tready,
  output logic                     m_axis_tlast
);

  localparam int unsigned Depth  = 8;  // lines read ahead: covers the store's latency at one line a cycle
  localparam int unsigned LevelW = $clog2(Depth + 1);
  localparam int unsigned LineW  = $bits(bitmap_t) + $bits(line_bytes_t);

  if (StreamBytes != 8 && StreamBytes != 16 && StreamBytes != 32 && StreamBytes != 64) begin : gen_check_bytes
    $error("%m: StreamBytes = %0d, expected 8, 16, 32 or 64", StreamBytes);
  end

  // ---------------------------------------------------------------------------------------------------------------
  // Reads
  // ---------------------------------------------------------------------------------------------------------------
  addr_t             addr_q, to_read_q, to_send_q;
  logic [LevelW-1:0] taken_q;   // FIFO places of lines asked for or held
  logic              read, line_done;

  assign lr_req_o = '{valid: to_read_q != '0 && taken_q != LevelW'(Depth), idx_addr: addr_q};
  assign read     = lr_req_o.valid & lr_rsp_i.gnt;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      addr_q    <= '0;
      to_read_q <= '0;
      to_send_q <= '0;
      taken_q   <= '0;
    end else begin
      if (start_i) begin
        addr_q    <= idx_base_i;
        to_read_q <= lines_i;
        to_send_q <= lines_i;
      end else begin
        if (read) begin
          addr_q    <= addr_q + 1'b1;
          to_read_q <= to_read_q - 1'b1;
        end
        if (line_done) to_send_q <= to_send_q - 1'b1;
      end
      if (read != line_done) taken_q <= read ? taken_q + 1'b1 : taken_q - 1'b1;
    end
  end

  // ---------------------------------------------------------------------------------------------------------------
  // Lines read ahead
  // ---------------------------------------------------------------------------------------------------------------
  bitmap_t     bitmap;
  line_bytes_t bytes;
  logic        line_valid;

  spcore_fifo #(.Width(LineW), .Depth(Depth)) u_lines (
    .clk_i, .rst_ni, .clear_i(1'b0),
    .valid_i(lr_rsp_i.rvalid), .ready_o(), .data_i({lr_rsp_i.bitmap, lr_rsp_i.bytes}),
    .valid_o(line_valid), .ready_i(line_done), .data_o({bitmap, bytes}),
    .level_o()
  );

  // ---------------------------------------------------------------------------------------------------------------
  // Beats
  // ---------------------------------------------------------------------------------------------------------------
  npos_t sent_q;      // bytes of the line already sent
  logic  in_bytes_q;  // the bitmap is sent
  npos_t left;

  always_comb begin
    left         = '0;
    m_axis_tdata = '0;
    m_axis_tkeep = '0;
    m_axis_tlast = 1'b0;
    if (line_valid && in_bytes_q) begin
      left         = npos_t'($countones(bitmap)) - sent_q;
      m_axis_tdata = bytes[pos_t'(sent_q) +: StreamBytes];
      for (int unsigned b = 0; b < StreamBytes; b++) m_axis_tkeep[b] = npos_t'(b) < left;
      m_axis_tlast = left <= npos_t'(StreamBytes);
    end else if (line_valid) begin
      m_axis_tdata[LinePos-1:0]   = bitmap;
      m_axis_tkeep[WordBytes-1:0] = '1;
      m_axis_tlast = bitmap == '0;
    end
  end

  assign m_axis_tvalid = line_valid;
  assign line_done     = m_axis_tvalid & m_axis_tready & m_axis_tlast;
  assign busy_o        = to_send_q != '0;
  assign done_o        = line_done && to_send_q == addr_t'(1);

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      in_bytes_q <= 1'b0;
      sent_q     <= '0;
    end else if (m_axis_tvalid && m_axis_tready) begin
      in_bytes_q <= !m_axis_tlast;
      sent_q     <= in_bytes_q && !m_axis_tlast ? sent_q + npos_t'(StreamBytes) : '0;
    end
  end

endmodule
