// Rules of the AXI4-Lite port (Arm IHI 0022, A3.2 and A3.3), bound to the core by core_bind.sv: what was offered stays
// offered and unchanged until it is taken, and a response answers a request.
module axil_protocol #(
  parameter int unsigned AddrW = 12
) (
  input logic             clk_i,
  input logic             rst_ni,
  input logic             awvalid_i,
  input logic             awready_i,
  input logic [AddrW-1:0] awaddr_i,
  input logic             wvalid_i,
  input logic             wready_i,
  input logic [31:0]      wdata_i,
  input logic [3:0]       wstrb_i,
  input logic             bvalid_i,
  input logic             bready_i,
  input logic [1:0]       bresp_i,
  input logic             arvalid_i,
  input logic             arready_i,
  input logic [AddrW-1:0] araddr_i,
  input logic             rvalid_i,
  input logic             rready_i,
  input logic [1:0]       rresp_i,
  input logic [31:0]      rdata_i
);

  AwStays: assert property (@(posedge clk_i) disable iff (!rst_ni)
                            awvalid_i && !awready_i |=> awvalid_i && $stable(awaddr_i))
    else $error("%m: AW changed before AWREADY");
  WStays: assert property (@(posedge clk_i) disable iff (!rst_ni)
                           wvalid_i && !wready_i |=> wvalid_i && $stable(wdata_i) && $stable(wstrb_i))
    else $error("%m: W changed before WREADY");
  BStays: assert property (@(posedge clk_i) disable iff (!rst_ni)
                           bvalid_i && !bready_i |=> bvalid_i && $stable(bresp_i))
    else $error("%m: B changed before BREADY");
  ArStays: assert property (@(posedge clk_i) disable iff (!rst_ni)
                            arvalid_i && !arready_i |=> arvalid_i && $stable(araddr_i))
    else $error("%m: AR changed before ARREADY");
  RStays: assert property (@(posedge clk_i) disable iff (!rst_ni)
                           rvalid_i && !rready_i |=> rvalid_i && $stable(rresp_i) && $stable(rdata_i))
    else $error("%m: R changed before RREADY");

  // Requests taken and not yet answered.
  logic [7:0] aw_open_q, w_open_q, ar_open_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      aw_open_q <= '0;
      w_open_q  <= '0;
      ar_open_q <= '0;
    end else begin
      aw_open_q <= aw_open_q + 8'(awvalid_i && awready_i) - 8'(bvalid_i && bready_i);
      w_open_q  <= w_open_q + 8'(wvalid_i && wready_i) - 8'(bvalid_i && bready_i);
      ar_open_q <= ar_open_q + 8'(arvalid_i && arready_i) - 8'(rvalid_i && rready_i);
    end
  end
  BAnswers: assert property (@(posedge clk_i) disable iff (!rst_ni) bvalid_i |-> aw_open_q != '0 && w_open_q != '0)
    else $error("%m: write response without a request");
  RAnswers: assert property (@(posedge clk_i) disable iff (!rst_ni) rvalid_i |-> ar_open_q != '0)
    else $error("%m: read response without a request");

endmodule
