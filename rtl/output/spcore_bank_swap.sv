// Permutes the words of all banks: word b comes from bank b ^ by_i. A butterfly network; 0 while en_i is low.

module spcore_bank_swap
  import sparsecore_pkg::AccW;
  import spcore_output_pkg::bank_t;
#(
  parameter int unsigned NumBanks = 64,
  localparam int unsigned BankW   = $clog2(NumBanks)
) (
  input  logic                          en_i,
  input  bank_t                         by_i,
  input  logic [NumBanks-1:0][AccW-1:0] words_i,
  output logic [NumBanks-1:0][AccW-1:0] words_o
);

  logic [NumBanks-1:0][AccW-1:0] previous;

  always_comb begin
    words_o = '0;
    previous  = '0;
    if (en_i) begin
      words_o = words_i;
      for (int unsigned s = 0; s < BankW; s++) begin
        if (by_i[s]) begin
          previous = words_o;
          for (int unsigned b = 0; b < NumBanks; b++) words_o[b] = previous[b ^ (1 << s)];
        end
      end
    end
  end

endmodule
