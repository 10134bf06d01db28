// SPDX-License-Identifier: Apache-2.0
// The host side of the core: the register block, and what decides about the host's commands.
module spcore_host
  import sparsecore_pkg::*;
  import spcore_front_pkg::*;
#(
  parameter config_t Cfg = '0
) (
  input  logic         clk_i,
  input  logic         rst_ni,
  output logic         core_rst_no,
  output logic         irq_o,

  input  logic [11:0]  s_axil_awaddr,
  input  logic [2:0]   s_axil_awprot,
  input  logic         s_axil_awvalid,
  output logic         s_axil_awready,
  input  logic [31:0]  s_axil_wdata,
  input  logic [3:0]   s_axil_wstrb,
  input  logic         s_axil_wvalid,
  output logic         s_axil_wready,
  output logic [1:0]   s_axil_bresp,
  output logic         s_axil_bvalid,
  input  logic         s_axil_bready,
  input  logic [11:0]  s_axil_araddr,
  input  logic [2:0]   s_axil_arprot,
  input  logic         s_axil_arvalid,
  output logic         s_axil_arready,
  output logic [31:0]  s_axil_rdata,
  output logic [1:0]   s_axil_rresp,
  output logic         s_axil_rvalid,
  input  logic         s_axil_rready,

  output wgt_cmd_t      wgt_cmd_o,
  input  wgt_status_t   wgt_status_i,
  output act_cmd_t      act_cmd_o,
  input  act_status_t   act_status_i,
  output res_cmd_t      res_cmd_o,
  input  res_status_t   res_status_i,
  output layer_cmd_t    layer_cmd_o,
  input  layer_status_t layer_status_i,
  output program_cmd_t  program_cmd_o,
  input  program_status_t program_status_i,
  input  counters_t     counters_i,
  output logic [15:0]   pe_select_o,
  input  pe_counters_t  pe_counters_i   // of PE pe_select_o; 0 if there is none
);

  reg2hw_t reg2hw;
  hw2reg_t hw2reg;

  spcore_csr #(
    .Cfg(Cfg)
  ) u_csr (
    .clk_i, .rst_ni, .irq_o,
    .s_axil_awaddr, .s_axil_awprot, .s_axil_awvalid, .s_axil_awready,
    .s_axil_wdata, .s_axil_wstrb, .s_axil_wvalid, .s_axil_wready,
    .s_axil_bresp, .s_axil_bvalid, .s_axil_bready,
    .s_axil_araddr, .s_axil_arprot, .s_axil_arvalid, .s_axil_arready,
    .s_axil_rdata, .s_axil_rresp, .s_axil_rvalid, .s_axil_rready,
    .reg2hw_o(reg2hw), .hw2reg_i(hw2reg)
  );

  spcore_command_ctrl #(
    .Cfg(Cfg)
  ) u_command_ctrl (
    .clk_i, .rst_ni, .core_rst_no,
    .reg2hw_i(reg2hw), .hw2reg_o(hw2reg),
    .wgt_cmd_o, .wgt_status_i, .act_cmd_o, .act_status_i, .res_cmd_o, .res_status_i, .layer_cmd_o, .layer_status_i,
    .program_cmd_o, .program_status_i,
    .counters_i, .pe_select_o, .pe_counters_i
  );

endmodule
