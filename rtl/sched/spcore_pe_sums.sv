// SPDX-License-Identifier: Apache-2.0
// How many PEs are in each state in a cycle, and their products, three cycles later: of those PEs whose state belongs to the
// layer of Context, which is the layer of their unit, and without one the oldest.
//
// The sums are made in three stages of four. Rolled is the same for simulation: a loop sums all PEs in the first stage, and
// the result takes as long. It is a seventh of the instructions and a small part of the code. It is what a Verilator build
// with SPCORE_FAST_SIM gets.
module spcore_pe_sums
  import sparsecore_pkg::*;
#(
  parameter int unsigned NumPe   = 64,
  parameter int unsigned MacW    = 5,
  parameter bit          Context = 1'b0,
`ifdef SPCORE_FAST_SIM
  parameter bit          Rolled  = 1'b1,
`else
  parameter bit          Rolled  = 1'b0,
`endif
  localparam int unsigned CountW  = $clog2(NumPe + 1),
  localparam int unsigned MacSumW = MacW + $clog2(NumPe)
) (
  input  logic                               clk_i,
  input  logic [2:0]                         count_i,     // whether the cycle in each stage counts
  input  ctx_t                               oldest_i,
  input  pe_state_e [NumPe-1:0]              pe_state_i,
  input  ctx_t [NumPe-1:0]                   pe_ctx_i,    // of the unit, if there is one
  input  logic [NumPe-1:0][MacW-1:0]         pe_macs_i,
  output logic [NumPeStates-1:0][CountW-1:0] states_o,
  output logic [MacSumW-1:0]                 macs_o
);

  if (Rolled) begin : gen_rolled
    // Fields at a variable place are dear: those of a part of the PEs are read at once.
    localparam int unsigned Part = NumPe % 8 == 0 ? 8 : NumPe % 2 == 0 ? 2 : 1;

    typedef struct packed {
      logic [NumPeStates-1:0][CountW-1:0] states;
      logic [MacSumW-1:0]                 macs;
    } sums_t;

    typedef struct packed {
      logic [15:0] macs;
      logic [15:0] pes;
    } group_t;   // PEs with one context and state

    // A function of its own in C++ too, where its variables are registers of the processor.
    function automatic sums_t sums_of(input pe_state_e [NumPe-1:0] state, input ctx_t [NumPe-1:0] ctx,
                                      input logic [NumPe-1:0][MacW-1:0] macs, input ctx_t oldest);
      /*verilator no_inline_task*/
      group_t                    group [16];
      pe_state_e [Part-1:0]      part_state;
      ctx_t [Part-1:0]           part_ctx;
      logic [Part-1:0][MacW-1:0] part_macs;
      group_t                    no_unit;
      logic [15:0]               macs_all;
      sums_t                     sums;

      for (int unsigned i = 0; i < 16; i++) group[i] = '0;
      /*verilator unroll_disable*/
      for (int unsigned first = 0; first < NumPe; first += Part) begin
        part_state = state[first+:Part];
        part_ctx   = ctx[first+:Part];
        part_macs  = macs[first+:Part];
        for (int unsigned p = 0; p < Part; p++) begin
          group[{part_ctx[p], part_state[p]}] = group[{part_ctx[p], part_state[p]}] + {16'(part_macs[p]), 16'd1};
        end
      end

      no_unit = oldest == Context ? group[{1'b0, PeNoUnit}] + group[{1'b1, PeNoUnit}] : '0;
      macs_all = no_unit.macs;
      for (int unsigned s = 0; s < 8; s++) begin
        if (3'(s) != PeNoUnit) macs_all = macs_all + group[{Context, 3'(s)}].macs;
      end
      for (int unsigned s = 0; s < NumPeStates; s++) begin
        sums.states[s] = CountW'(3'(s) == PeNoUnit ? no_unit.pes : group[{Context, 3'(s)}].pes);
      end
      sums.macs = MacSumW'(macs_all);
      return sums;
    endfunction

    sums_t [1:0] sums_q;
    logic        any;     // a PE may belong to the layer: most often all PEs have units of one

    assign any = oldest_i == Context || pe_ctx_i != {NumPe{~Context}};

    always_ff @(posedge clk_i) begin
      if (count_i[0]) begin
        if (any) sums_q[0] <= sums_of(pe_state_i, pe_ctx_i, pe_macs_i, oldest_i);
        else sums_q[0] <= '0;
      end
      if (count_i[1]) sums_q[1] <= sums_q[0];
      {states_o, macs_o} <= count_i[2] ? sums_q[1] : '0;
    end

    if (NumPe >= 1 << 16 || MacSumW > 16) begin : gen_bad_size
      $error("%m: NumPe = %0d, MacW = %0d, expected sums of 16 bits", NumPe, MacW);
    end
  end else begin : gen_tree
    localparam int unsigned Quads    = (NumPe + 3) / 4;
    localparam int unsigned Sixteens = (NumPe + 15) / 16;

    logic [NumPe-1:0]                          mine;    // the PE's products are
    logic [Quads-1:0][NumPeStates-1:0][2:0]    quad_states_q;
    logic [Quads-1:0][MacW+1:0]                quad_macs_q;
    logic [Sixteens-1:0][NumPeStates-1:0][4:0] sixteen_states_q;
    logic [Sixteens-1:0][MacW+3:0]             sixteen_macs_q;

    always_comb begin
      for (int unsigned p = 0; p < NumPe; p++) mine[p] = (pe_state_i[p] == PeNoUnit ? oldest_i : pe_ctx_i[p]) == Context;
    end

    for (genvar i = 0; i < Quads; i++) begin : gen_quad
      logic [NumPeStates-1:0][2:0] states;
      logic [MacW+1:0]           macs;
      always_comb begin
        states = '0;
        macs   = '0;
        for (int unsigned p = 4 * i; p < 4 * i + 4 && p < NumPe; p++) begin
          for (int unsigned s = 0; s < NumPeStates; s++) begin
            states[s] = states[s] + 3'(pe_state_i[p] == pe_state_e'(s)
                                       && (pe_state_e'(s) == PeNoUnit ? oldest_i : pe_ctx_i[p]) == Context);
          end
          macs = macs + (mine[p] ? $bits(macs)'(pe_macs_i[p]) : '0);
        end
      end
      always_ff @(posedge clk_i) begin
        if (count_i[0]) begin
          quad_states_q[i] <= states;
          quad_macs_q[i]   <= macs;
        end
      end
    end

    for (genvar i = 0; i < Sixteens; i++) begin : gen_sixteen
      logic [NumPeStates-1:0][4:0] states;
      logic [MacW+3:0]           macs;
      always_comb begin
        states = '0;
        macs   = '0;
        for (int unsigned q = 4 * i; q < 4 * i + 4 && q < Quads; q++) begin
          for (int unsigned s = 0; s < NumPeStates; s++) states[s] = states[s] + 5'(quad_states_q[q][s]);
          macs = macs + $bits(macs)'(quad_macs_q[q]);
        end
      end
      always_ff @(posedge clk_i) begin
        if (count_i[1]) begin
          sixteen_states_q[i] <= states;
          sixteen_macs_q[i]   <= macs;
        end
      end
    end

    logic [NumPeStates-1:0][CountW-1:0] states_all;
    logic [MacSumW-1:0]               macs_all;
    always_comb begin
      states_all = '0;
      macs_all   = '0;
      for (int unsigned i = 0; i < Sixteens; i++) begin
        for (int unsigned s = 0; s < NumPeStates; s++) states_all[s] = states_all[s] + CountW'(sixteen_states_q[i][s]);
        macs_all = macs_all + MacSumW'(sixteen_macs_q[i]);
      end
    end

    always_ff @(posedge clk_i) begin
      states_o <= count_i[2] ? states_all : '0;
      macs_o   <= count_i[2] ? macs_all : '0;
    end
  end

endmodule
