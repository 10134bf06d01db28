// A staging slot: the accumulators of one job, collected from the PEs that computed its units.
//
// Filling takes a row of all banks a cycle; the first unit of a job overwrites, the others add. When the job is complete
// the slot is full, until take_i; it is then read, each bank at the row that holds a position of the beat (spcore_output_pkg says
// how accumulators lie in the banks). A bank is a memory with one read and one write a cycle.

module spcore_staging_buffer
  import sparsecore_pkg::*;
  import spcore_output_pkg::*;
#(
  parameter int unsigned NumBanks = 64,
  localparam int unsigned BankW   = $clog2(NumBanks)
) (
  input  logic                          clk_i,
  input  logic                          rst_ni,

  // rows, already permuted
  input  logic                          fill_valid_i,
  input  row_t                          fill_row_i,
  input  logic                          fill_add_i,
  input  logic                          fill_end_i,   // the job's last row
  input  logic [NumBanks-1:0][AccW-1:0] fill_data_i,

  output logic                          full_o,
  input  logic                          take_i,

  // bank b reads row_i, with the bits of low_i from b ^ select_i; the words follow a cycle later and stay
  input  logic                          read_i,
  input  bank_t                         select_i,
  input  row_t                          row_i,
  input  row_t                          low_i,
  output logic [NumBanks-1:0][AccW-1:0] words_o
);

  logic                          write_q, add_q, end_q;
  row_t                          row_q;
  logic [NumBanks-1:0][AccW-1:0] data_q;
  logic                          access;
  row_t                          selected;

  // The row bits that each bank is skewed by.
  typedef row_t [NumBanks-1:0] skews_t;

  function automatic skews_t make_skews();
    skews_t skews;
    for (int unsigned b = 0; b < NumBanks; b++) skews[b] = unskew(bank_t'(b), BankW);
    return skews;
  endfunction
  localparam skews_t Skews = make_skews();

  assign access   = read_i | (fill_valid_i & fill_add_i);
  assign selected = unskew(select_i, BankW);

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      write_q <= 1'b0;
      end_q   <= 1'b0;
      full_o  <= 1'b0;
    end else begin
      write_q <= fill_valid_i;
      end_q   <= fill_valid_i & fill_end_i;
      if (end_q)       full_o <= 1'b1;
      else if (take_i) full_o <= 1'b0;
      assert (!(read_i && fill_valid_i)) else $error("%m: filled while it is read");
    end
  end

  always_ff @(posedge clk_i) begin
    if (fill_valid_i) begin
      row_q  <= fill_row_i;
      add_q  <= fill_add_i;
      data_q <= fill_data_i;
    end
  end

  logic [AccW-1:0] mem_q [NumBanks * AccDepth];

  always_ff @(posedge clk_i) begin
    if (access) begin
      for (int unsigned b = 0; b < NumBanks; b++) begin
        words_o[b] <= mem_q[{BankW'(b), fill_valid_i ? fill_row_i : row_i | ((Skews[b] ^ selected) & low_i)}];
      end
    end
    if (write_q) begin
      for (int unsigned b = 0; b < NumBanks; b++) begin
        mem_q[{BankW'(b), row_q}] <= add_q ? data_q[b] + words_o[b] : data_q[b];
      end
    end
  end

endmodule
