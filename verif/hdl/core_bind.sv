// Binds the protocol rules to the ports of the core.
bind sparsecore axis_protocol #(
  .DataW($bits(s_axis_wgt_tdata)),
  .KeepW(1)
) u_wgt_protocol (
  .clk_i, .rst_ni, .cut_i(!core_rst_n), .tvalid_i(s_axis_wgt_tvalid), .tready_i(s_axis_wgt_tready), .tlast_i(s_axis_wgt_tlast),
  .tdata_i(s_axis_wgt_tdata), .tkeep_i(1'b1)
);

bind sparsecore axis_protocol #(
  .DataW($bits(s_axis_act_tdata)),
  .KeepW($bits(s_axis_act_tkeep))
) u_act_protocol (
  .clk_i, .rst_ni, .cut_i(!core_rst_n), .tvalid_i(s_axis_act_tvalid), .tready_i(s_axis_act_tready), .tlast_i(s_axis_act_tlast),
  .tdata_i(s_axis_act_tdata), .tkeep_i(s_axis_act_tkeep)
);

bind sparsecore axis_protocol #(
  .DataW($bits(m_axis_res_tdata)),
  .KeepW($bits(m_axis_res_tkeep)),
  .CheckKeep(1'b1)
) u_res_protocol (
  .clk_i, .rst_ni, .cut_i(!core_rst_n), .tvalid_i(m_axis_res_tvalid), .tready_i(m_axis_res_tready), .tlast_i(m_axis_res_tlast),
  .tdata_i(m_axis_res_tdata), .tkeep_i(m_axis_res_tkeep)
);

bind sparsecore axil_protocol #(
  .AddrW($bits(s_axil_awaddr))
) u_axil_protocol (
  .clk_i, .rst_ni,
  .awvalid_i(s_axil_awvalid), .awready_i(s_axil_awready), .awaddr_i(s_axil_awaddr),
  .wvalid_i(s_axil_wvalid), .wready_i(s_axil_wready), .wdata_i(s_axil_wdata), .wstrb_i(s_axil_wstrb),
  .bvalid_i(s_axil_bvalid), .bready_i(s_axil_bready), .bresp_i(s_axil_bresp),
  .arvalid_i(s_axil_arvalid), .arready_i(s_axil_arready), .araddr_i(s_axil_araddr),
  .rvalid_i(s_axil_rvalid), .rready_i(s_axil_rready), .rresp_i(s_axil_rresp), .rdata_i(s_axil_rdata)
);
