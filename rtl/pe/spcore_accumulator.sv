// A PE's slice of the Accumulation Buffer: 4L banks of AccDepth 32-bit accumulators, a quad of 16 banks for each four
// lanes. Each bank is a memory with one read and one write a cycle; a bank hears the four lanes of its quad, of which
// at most one addresses it in a cycle. Read, then add and write; when the emission before is still being added to the same
// accumulator its sum is forwarded.
//
// When a unit has ended, the rows are handed over one a cycle, all banks at a time, and cleared. After reset all rows are
// cleared. unblock_o says that the next unit's emissions may follow.
//
// The quad's banks are one array here, indexed {bank, row}: lanes then pick their bank instead of banks their lane, which
// simulates several times faster.

module spcore_accumulator
  import sparsecore_pkg::*;
#(
  parameter int unsigned NumLanes = 16,
  localparam int unsigned NumBanks = 4 * NumLanes
) (
  input  logic                             clk_i,
  input  logic                             rst_ni,

  // Of the layer, unit just what the number of rows depends on is used.
  input  layer_t                           layer_i,
  input  derived_t                         derived_i,
  input  drain_info_t                      unit_i,     // the unit that ended, from end_i to its drain

  // products, from mac_array
  input  logic                             valid_i,
  input  logic [AccAddrW-1:0]              row_i,
  input  logic [NumLanes-1:0]              en_i,
  input  logic [NumLanes-1:0][3:0]         bank_i,
  input  logic signed [NumLanes-1:0][15:0] product_i,
  input  logic                             end_i,      // the unit ends with this cycle's products, if any

  output logic                             drain_req_o,
  input  logic                             drain_gnt_i,
  output logic                             drain_valid_o,
  output logic [AccAddrW-1:0]              drain_row_o,
  output logic                             drain_last_o,
  output logic [NumBanks-1:0][AccW-1:0]    drain_data_o,

  output logic                             unblock_o,  // pulse
  output logic                             done_o,     // pulse: the last row of a unit is read
  output logic                             clearing_o  // after reset
);

  typedef enum logic [1:0] {
    StClear,    // after reset
    StAdd,
    StRequest,  // a unit is complete and asks to be drained
    StDrain
  } state_e;

  localparam int unsigned QuadBanks = 16;
  localparam logic [AccAddrW-1:0] LastRow = AccAddrW'(AccDepth - 1);
  // The scanner may start so many rows before the last is read: its first product arrives four cycles after unblock_o.
  localparam logic [AccAddrW-1:0] Ahead = AccAddrW'(3);

  state_e              state_q, state_d;
  logic [AccAddrW-1:0] row_q, last_q;     // row to be read and cleared; last one
  logic                add_valid_q, add_end_q;
  logic                sweep;             // row_q is being cleared
  npos_t               last_pos;          // of the unit

  // ---- control ----

  assign last_pos = npos_t'((unit_i.tile_h - 1'b1) * layer_i.tile_w) + unit_i.tile_w - 1'b1;

  always_comb begin
    state_d   = state_q;
    unblock_o = 1'b0;
    done_o    = 1'b0;
    unique case (state_q)
      StClear: begin
        if (row_q == LastRow) begin
          state_d   = StAdd;
          unblock_o = 1'b1;
        end
      end
      StAdd: begin
        if (add_end_q) state_d = StRequest;
      end
      StRequest: begin
        if (drain_gnt_i) state_d = StDrain;
      end
      StDrain: begin
        unblock_o = row_q == ((last_q > Ahead) ? last_q - Ahead : '0);
        if (row_q == last_q) begin
          done_o  = 1'b1;
          state_d = StAdd;
        end
      end
      default: state_d = StClear;
    endcase
  end

  assign sweep       = state_q == StClear || state_q == StDrain;
  assign drain_req_o = state_q == StRequest;
  assign clearing_o  = state_q == StClear;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q       <= StClear;
      row_q         <= '0;
      last_q        <= '0;
      add_valid_q   <= 1'b0;
      add_end_q     <= 1'b0;
      drain_valid_o <= 1'b0;
    end else begin
      state_q       <= state_d;
      row_q         <= (sweep && state_d == state_q) ? row_q + 1'b1 : '0;
      add_valid_q   <= valid_i;
      add_end_q     <= end_i;
      drain_valid_o <= state_q == StDrain;
      if (add_end_q) begin
        unique case (derived_i.ratio)
          RatioOne: last_q <= AccAddrW'(last_pos >> 2);
          RatioTwo: last_q <= AccAddrW'(last_pos >> 1);
          default:  last_q <= AccAddrW'(last_pos);
        endcase
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (state_q == StDrain) begin
      drain_row_o  <= row_q;
      drain_last_o <= row_q == last_q;
    end
  end

  // ---- the quads ----

  logic [AccAddrW-1:0]             add_row_q;
  logic [NumLanes-1:0]             add_en_q;
  logic [NumLanes-1:0][3:0]        add_bank_q;
  logic signed [NumLanes-1:0][15:0] add_product_q;

  always_ff @(posedge clk_i) begin
    if (valid_i) begin
      add_row_q     <= row_i;
      add_en_q      <= en_i;
      add_bank_q    <= bank_i;
      add_product_q <= product_i;
    end
  end

  for (genvar q = 0; q < NumLanes / 4; q++) begin : gen_quad
    logic [AccW-1:0]      mem_q [QuadBanks * AccDepth];
    logic [3:0][AccW-1:0] old_q, sum;

    always_comb begin
      sum = '0;
      if (add_valid_q) begin
        for (int unsigned l = 0; l < 4; l++) sum[l] = old_q[l] + AccW'($signed(add_product_q[4*q+l]));
      end
    end

    always_ff @(posedge clk_i) begin
      if (valid_i) begin
        for (int unsigned l = 0; l < 4; l++) begin
          old_q[l] <= mem_q[{bank_i[4*q+l], row_i}];
        end
        if (add_valid_q && add_row_q == row_i) begin
          for (int unsigned l = 0; l < 4; l++) begin
            for (int unsigned n = 0; n < 4; n++) begin
              if (add_en_q[4*q+n] && add_bank_q[4*q+n] == bank_i[4*q+l]) old_q[l] <= sum[n];
            end
          end
        end
      end
    end

    always_ff @(posedge clk_i) begin
      if (sweep) begin
        for (int unsigned b = 0; b < QuadBanks; b++) mem_q[{b[3:0], row_q}] <= '0;
      end else if (add_valid_q) begin
        for (int unsigned l = 0; l < 4; l++) begin
          if (add_en_q[4*q+l]) mem_q[{add_bank_q[4*q+l], add_row_q}] <= sum[l];
        end
      end
    end

    always_ff @(posedge clk_i) begin
      if (state_q == StDrain) begin
        for (int unsigned b = 0; b < QuadBanks; b++) drain_data_o[QuadBanks*q+b] <= mem_q[{b[3:0], row_q}];
      end
    end
  end

`ifndef SYNTHESIS
  // Not at time 0, when random initial values can look like an edge.
  always_ff @(posedge clk_i) begin
    if (rst_ni && $time != 0 && valid_i && sweep) $error("%m: a product while the accumulators are handed over");
  end
`endif

endmodule
