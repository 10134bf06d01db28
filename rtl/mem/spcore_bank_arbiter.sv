// SPDX-License-Identifier: Apache-2.0
// Which of the groups that want a bank of a banked memory gets it: urgent ones first, among equals round robin from the
// group that was served last; and the entry that it asks for.
//
// Wide selections are written as trees: as a chain of ORs they would be mapped to one.
module spcore_bank_arbiter #(
  parameter int unsigned Groups = 16,   // a multiple of four
  parameter int unsigned EntryW = 12
) (
  input  logic                          clk_i,
  input  logic                          rst_ni,
  input  logic                          start_i,    // of a layer

  input  logic [Groups-1:0]             wanted_i,   // by whom
  input  logic [Groups-1:0]             urgent_i,   // whoever is, whatever bank it wants
  input  logic [Groups-1:0][EntryW-1:0] entry_i,    // likewise
  input  logic                          take_i,     // the choice is served
  output logic [Groups-1:0]             choice_o,   // one-hot; 0: nobody wants the bank
  output logic [EntryW-1:0]             entry_o     // only where somebody does
);

  localparam int unsigned Fours = Groups / 4;

  // Urgent ones above the group that was served last, urgent ones, those above it, all: the lowest of the first of these
  // that is not empty, found by fours.
  logic [3:0][Fours-1:0][3:0]    pool, lowest;
  logic [3:0][Fours-1:0]         four;       // something in them
  logic [Fours-1:0]              below;      // fours below the first with something
  logic [Fours-1:0][3:0]         last_q;     // the group that was served last
  logic [Fours-1:0][3:0]         above;      // groups above it
  logic [Groups-1:0][EntryW-1:0] entry;      // the choice's in entry[0]

  always_comb begin
    above    = 'x;
    pool     = 'x;
    lowest   = 'x;
    four     = 'x;
    below    = 'x;
    choice_o = '0;
    entry    = 'x;
    if (wanted_i != '0) begin
      for (int unsigned f = 0; f < Fours; f++) begin
        above[f] = {last_q[f][2:0] != '0, last_q[f][1:0] != '0, last_q[f][0], 1'b0};
        for (int unsigned h = 0; h < f; h++) if (last_q[h] != '0) above[f] = '1;
      end
      pool   = {wanted_i & urgent_i & above, wanted_i & urgent_i, wanted_i & above, wanted_i};
      lowest = '0;
      for (int unsigned p = 0; p < 4; p++) begin
        for (int unsigned f = 0; f < Fours; f++) four[p][f] = pool[p][f] != '0;
        below = ~four[p] & (four[p] - 1'b1);
        for (int unsigned f = 0; f < Fours; f++) begin
          if (four[p][f] && (f == 0 || below[f-1])) lowest[p][f] = pool[p][f] & (~pool[p][f] + 4'd1);
        end
      end
      if      (four[3] != '0) choice_o = lowest[3];
      else if (four[2] != '0) choice_o = lowest[2];
      else if (four[1] != '0) choice_o = lowest[1];
      else                    choice_o = lowest[0];
      for (int unsigned g = 0; g < Groups; g++) entry[g] = choice_o[g] ? entry_i[g] : '0;
      for (int unsigned s = 1; s < Groups; s = s * 2) begin
        for (int unsigned g = 0; g + s < Groups; g += 2 * s) entry[g] |= entry[g+s];
      end
    end
    entry_o = entry[0];
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni)      last_q <= '0;
    else if (start_i) last_q <= '0;
    else if (take_i)  last_q <= choice_o;
  end

  if (Groups % 4 != 0) begin : gen_check_groups
    $error("%m: Groups = %0d, expected a multiple of four", Groups);
  end

endmodule
