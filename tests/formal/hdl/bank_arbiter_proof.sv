// SPDX-License-Identifier: Apache-2.0
// spcore_bank_arbiter: one group of those that want the bank is chosen, an urgent one if there is one, with its entry; and
// a group that keeps wanting it has its turn before any equal one has two, as long as no urgent one comes between.
module bank_arbiter_proof #(
  parameter int unsigned Groups = 4,
  parameter int unsigned EntryW = 2,
  localparam int unsigned GroupW = $clog2(Groups)
) (
  input logic                          clk_i,
  input logic                          start_i,
  input logic [Groups-1:0]             wanted_i,
  input logic [Groups-1:0]             urgent_i,
  input logic [Groups-1:0][EntryW-1:0] entry_i,
  input logic                          take_i,
  input logic [GroupW-1:0]             watched_i,   // keeps wanting
  input logic [GroupW-1:0]             other_i
);

  logic rst_n = 1'b0;
  always_ff @(posedge clk_i) rst_n <= 1'b1;

  logic [Groups-1:0] choice;
  logic [EntryW-1:0] entry;
  logic              take;

  assign take = take_i & (wanted_i != '0);

  spcore_bank_arbiter #(
    .Groups(Groups), .EntryW(EntryW)
  ) u_bank_arbiter (
    .clk_i,
    .rst_ni  (rst_n),
    .start_i,
    .wanted_i,
    .urgent_i,
    .entry_i,
    .take_i  (take),
    .choice_o(choice),
    .entry_o (entry)
  );

  // Two groups that the solver chooses once.
  logic              chosen_q = 1'b0;
  logic [GroupW-1:0] watched_q, other_q;
  logic              other_had_q = 1'b0;   // the other was taken since the watched one last was, or began to want
  logic              urgent;               // one is chosen

  assign urgent = (choice & urgent_i) != '0;

  always_ff @(posedge clk_i) begin
    chosen_q <= 1'b1;
    if (!chosen_q) begin
      watched_q <= watched_i;
      other_q   <= other_i;
    end
    if (!chosen_q || start_i || urgent || !wanted_i[watched_q] || (take && choice[watched_q])) other_had_q <= 1'b0;
    else if (take && choice[other_q])                                                          other_had_q <= 1'b1;
  end

  always_ff @(posedge clk_i) begin
    if (rst_n && chosen_q) begin
      in_range     : assume (32'(watched_q) < Groups && 32'(other_q) < Groups && watched_q != other_q);
      one          : assert ((choice & (choice - Groups'(1))) == '0);
      wants        : assert ((choice & ~wanted_i) == '0);
      some         : assert ((choice != '0) == (wanted_i != '0));
      urgent_first : assert (urgent == ((wanted_i & urgent_i) != '0));
      its_entry    : assert (!choice[watched_q] || entry == entry_i[watched_q]);
      fair         : assert (!(other_had_q && !urgent && wanted_i[watched_q] && take && choice[other_q]));
      waits        : cover (other_had_q && wanted_i[watched_q] && take && choice[watched_q]);
    end
  end

endmodule
