// A wire from an AXI4-Stream to another, with the protocol rules on the output.
module stream_wire (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic [63:0] s_axis_tdata,
  input  logic [7:0]  s_axis_tkeep,
  input  logic        s_axis_tvalid,
  output logic        s_axis_tready,
  input  logic        s_axis_tlast,
  output logic [63:0] m_axis_tdata,
  output logic [7:0]  m_axis_tkeep,
  output logic        m_axis_tvalid,
  input  logic        m_axis_tready,
  output logic        m_axis_tlast
);
  assign m_axis_tdata  = s_axis_tdata;
  assign m_axis_tkeep  = s_axis_tkeep;
  assign m_axis_tvalid = s_axis_tvalid;
  assign s_axis_tready = m_axis_tready;
  assign m_axis_tlast  = s_axis_tlast;
endmodule

bind stream_wire axis_protocol #(.DataW(64), .KeepW(8), .CheckKeep(1'b1)) u_protocol (
  .clk_i, .rst_ni, .cut_i(1'b0), .tvalid_i(m_axis_tvalid), .tready_i(m_axis_tready), .tlast_i(m_axis_tlast),
  .tdata_i(m_axis_tdata), .tkeep_i(m_axis_tkeep)
);
