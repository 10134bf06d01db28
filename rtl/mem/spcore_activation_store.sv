// The Activation Memory and the Index Memory: PEs read words and index entries, whole lines are written by the output
// stage (0) and the activation loader (1) and read by the result streamer.
//
// A line's words lie in consecutive banks, at most 8 of them, so a line is written in one cycle and read in two accesses
// (index entry, then all its words). Line writes go before line reads, both before the PEs.
module spcore_activation_store
  import sparsecore_pkg::*;
#(
  parameter int unsigned NumReq   = 64,
  parameter int unsigned ActBanks = 8,
  parameter int unsigned ActDepth = 24576,  // words of a bank
  parameter int unsigned IdxBanks = 8,
  parameter int unsigned IdxDepth = 6144,   // entries of a bank
  localparam int unsigned WordW     = 8 * WordBytes,
  localparam int unsigned ActReadW  = $clog2(ActBanks + 1),
  localparam int unsigned IdxReadW  = $clog2(IdxBanks + 1),
  localparam int unsigned HitW      = $clog2(NumReq + 1)
) (
  input  logic                          clk_i,
  input  logic                          rst_ni,
  input  logic                          start_i,   // of a layer

  input  logic         [NumReq-1:0]     act_req_i,
  input  logic         [NumReq-1:0]     act_urgent_i,
  input  addr_t        [NumReq-1:0]     act_addr_i,
  output logic         [NumReq-1:0]     act_gnt_o,
  output logic         [NumReq-1:0]     act_rvalid_o,
  output logic [NumReq-1:0][WordW-1:0]  act_rdata_o,

  input  logic         [NumReq-1:0]     idx_req_i,
  input  logic         [NumReq-1:0]     idx_urgent_i,
  input  addr_t        [NumReq-1:0]     idx_addr_i,
  output logic         [NumReq-1:0]     idx_gnt_o,
  output logic         [NumReq-1:0]     idx_rvalid_o,
  output index_entry_t [NumReq-1:0]     idx_rdata_o,

  // line writes
  input  logic        [1:0]             lw_valid_i,
  output logic        [1:0]             lw_ready_o,
  input  line_write_t [1:0]             lw_line_i,

  // line reads: at most one every other cycle
  input  logic                          lr_valid_i,
  output logic                          lr_ready_o,
  input  addr_t                         lr_idx_addr_i,
  output logic                          lr_rvalid_o,
  output bitmap_t                       lr_bitmap_o,
  output line_bytes_t                   lr_bytes_o,

  output logic [ActReadW-1:0]           act_reads_o,
  output logic [HitW-1:0]               act_hits_o,
  output logic [IdxReadW-1:0]           idx_reads_o,
  output logic [HitW-1:0]               idx_hits_o
);

  localparam int unsigned ActBankW  = $clog2(ActBanks);
  localparam int unsigned ActEntryW = $clog2(ActDepth);
  localparam int unsigned IdxBankW  = $clog2(IdxBanks);
  localparam int unsigned IdxEntryW = $clog2(IdxDepth);

  // ---------------------------------------------------------------------------------------------------------------
  // Line writes: round robin
  // ---------------------------------------------------------------------------------------------------------------
  logic        last_q;   // who wrote last
  logic        lw_fire;
  line_write_t lw;

  always_comb begin
    lw_ready_o = 2'b00;
    if (lw_valid_i == 2'b11) lw_ready_o = last_q ? 2'b01 : 2'b10;
    else                     lw_ready_o = lw_valid_i;
  end
  assign lw_fire = |lw_valid_i;
  assign lw      = lw_ready_o[1] ? lw_line_i[1] : lw_line_i[0];

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni)      last_q <= 1'b0;
    else if (lw_fire) last_q <= lw_ready_o[1];
  end

  // ---------------------------------------------------------------------------------------------------------------
  // Line reads: index entry, then words
  // ---------------------------------------------------------------------------------------------------------------
  logic                lr_fire, words_fire;
  logic                entry_coming_q, entry_valid_q, words_coming_q;
  logic [IdxBankW-1:0] entry_bank_q;
  index_entry_t        entry_q, sent_q;
  logic [PosW:0]       entry_count;
  logic [3:0]          entry_words, sent_words_q;
  logic [IdxBanks-1:0][$bits(index_entry_t)-1:0] idx_dir_rdata;
  logic [ActBanks-1:0][WordW-1:0]                act_dir_rdata;

  assign entry_count = npos_t'($countones(entry_q.bitmap));
  assign entry_words = 4'((entry_count + npos_t'(WordBytes - 1)) >> $clog2(WordBytes));
  assign words_fire  = entry_valid_q && !lw_fire;
  // An entry on its way always finds its register empty.
  assign lr_ready_o  = !lw_fire && !entry_coming_q && (!entry_valid_q || words_fire);
  assign lr_fire     = lr_valid_i && lr_ready_o;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      entry_coming_q <= 1'b0;
      entry_valid_q  <= 1'b0;
      words_coming_q <= 1'b0;
    end else begin
      entry_coming_q <= lr_fire;
      words_coming_q <= words_fire;
      if (entry_coming_q)  entry_valid_q <= 1'b1;
      else if (words_fire) entry_valid_q <= 1'b0;
    end
  end

  always_ff @(posedge clk_i) begin
    if (lr_fire)        entry_bank_q <= lr_idx_addr_i[IdxBankW-1:0];
    if (entry_coming_q) entry_q      <= idx_dir_rdata[entry_bank_q];
    if (words_fire) begin
      sent_q       <= entry_q;
      sent_words_q <= entry_words;
    end
  end

  assign lr_rvalid_o = words_coming_q;
  assign lr_bitmap_o = sent_q.bitmap;
  always_comb begin
    lr_bytes_o = '0;
    if (words_coming_q) begin
      for (int unsigned j = 0; j < LineWords; j++) begin
        if (4'(j) < sent_words_q) begin
          lr_bytes_o[WordBytes*j+:WordBytes] = act_dir_rdata[ActBankW'(sent_q.ptr) + ActBankW'(j)];
        end
      end
    end
  end

  // ---------------------------------------------------------------------------------------------------------------
  // Direct ports
  // ---------------------------------------------------------------------------------------------------------------
  logic [ActBanks-1:0]                           act_dir_en;
  logic [ActBanks-1:0][ActEntryW-1:0]            act_dir_addr;
  logic [ActBanks-1:0][WordW-1:0]                act_dir_wdata;
  logic [IdxBanks-1:0]                           idx_dir_en;
  logic [IdxBanks-1:0][IdxEntryW-1:0]            idx_dir_addr;
  logic [IdxBanks-1:0][$bits(index_entry_t)-1:0] idx_dir_wdata;

  always_comb begin
    // verilator lint_off UNUSEDSIGNAL
    addr_t      ptr, word, entry;   // as many bits as the memories have
    // verilator lint_on UNUSEDSIGNAL
    logic [3:0] words;
    act_dir_en    = '0;
    act_dir_addr  = '0;
    act_dir_wdata = '0;
    idx_dir_en    = '0;
    idx_dir_addr  = '0;
    idx_dir_wdata = '0;
    ptr   = lw_fire ? lw.ptr : entry_q.ptr;
    words = lw_fire ? lw.words : entry_words;
    word  = '0;
    entry = lw_fire ? lw.idx_addr : lr_idx_addr_i;
    if (lw_fire || words_fire) begin
      for (int unsigned j = 0; j < LineWords; j++) begin
        word = ptr + addr_t'(j);
        if (4'(j) < words) begin
          act_dir_en[word[ActBankW-1:0]]    = 1'b1;
          act_dir_addr[word[ActBankW-1:0]]  = word[ActBankW+:ActEntryW];
          act_dir_wdata[word[ActBankW-1:0]] = lw.bytes[WordBytes*j+:WordBytes];
        end
      end
    end
    if (lw_fire || lr_fire) begin
      idx_dir_en[entry[IdxBankW-1:0]]    = 1'b1;
      idx_dir_addr[entry[IdxBankW-1:0]]  = entry[IdxBankW+:IdxEntryW];
      idx_dir_wdata[entry[IdxBankW-1:0]] = {lw.bitmap, lw.ptr};
    end
  end

  spcore_banked_mem #(
    .NumReq(NumReq),
    .Banks (ActBanks),
    .Depth (ActDepth),
    .Width (WordW)
  ) u_activation_memory (
    .clk_i,
    .rst_ni,
    .start_i,
    .req_i      (act_req_i),
    .urgent_i   (act_urgent_i),
    .addr_i     (act_addr_i),
    .gnt_o      (act_gnt_o),
    .rvalid_o   (act_rvalid_o),
    .rdata_o    (act_rdata_o),
    .dir_en_i   (act_dir_en),
    .dir_we_i   ({ActBanks{lw_fire}}),
    .dir_addr_i (act_dir_addr),
    .dir_wdata_i(act_dir_wdata),
    .dir_rdata_o(act_dir_rdata),
    .reads_o    (act_reads_o),
    .hits_o     (act_hits_o)
  );

  spcore_banked_mem #(
    .NumReq(NumReq),
    .Banks (IdxBanks),
    .Depth (IdxDepth),
    .Width ($bits(index_entry_t))
  ) u_index_memory (
    .clk_i,
    .rst_ni,
    .start_i,
    .req_i      (idx_req_i),
    .urgent_i   (idx_urgent_i),
    .addr_i     (idx_addr_i),
    .gnt_o      (idx_gnt_o),
    .rvalid_o   (idx_rvalid_o),
    .rdata_o    (idx_rdata_o),
    .dir_en_i   (idx_dir_en),
    .dir_we_i   ({IdxBanks{lw_fire}}),
    .dir_addr_i (idx_dir_addr),
    .dir_wdata_i(idx_dir_wdata),
    .dir_rdata_o(idx_dir_rdata),
    .reads_o    (idx_reads_o),
    .hits_o     (idx_hits_o)
  );

  if (ActBanks < LineWords) begin : gen_check_act_banks
    $error("%m: ActBanks = %0d, expected at least %0d, the words of a line", ActBanks, LineWords);
  end

endmodule
