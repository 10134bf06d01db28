// SPDX-License-Identifier: Apache-2.0
// The Activation Memory and the Index Memory: PEs read words and index entries, whole lines are written by the output
// stage (0) and the activation loader (1) and read by the streaming processors and, last, the result streamer.
//
// A line's words lie in consecutive banks, at most 8 of them, so a line is written in one cycle and read in two accesses
// (index entry, then all its words), one line a cycle each. Line writes go before line reads, both before the PEs: an
// access of a read waits for a write that needs one of its banks, and for nothing else. While a line's words wait, the
// next line that is read, if another reader asked for it, may go first. A reader's reads are answered in their order:
// whoever asks has room for the answer.
// The bits of a line's first bank rotate its words, each for itself and straight from its flip-flop: their nets have
// hundreds of loads.
module spcore_activation_store
  import sparsecore_pkg::*;
#(
  parameter int unsigned NumReq   = 64,
  parameter int unsigned ActBanks = 16,
  parameter int unsigned ActDepth = 12288,  // words of a bank
  parameter int unsigned IdxBanks = 8,
  parameter int unsigned IdxDepth = 6144,   // entries of a bank
  parameter int unsigned NumRead  = 3,      // who reads lines, at least 2
  localparam int unsigned WordW    = 8 * WordBytes,
  localparam int unsigned ActReadW = $clog2(ActBanks + 1),
  localparam int unsigned IdxReadW = $clog2(IdxBanks + 1),
  localparam int unsigned HitW     = $clog2(NumReq + 1)
) (
  input  logic                          clk_i,
  input  logic                          rst_ni,
  input  logic                          start_i,   // of a layer

  input  mem_req_t     [NumReq-1:0]     act_req_i,
  output mem_rsp_t     [NumReq-1:0]     act_rsp_o,
  output logic [NumReq-1:0][WordW-1:0]  act_rdata_o,

  input  mem_req_t     [NumReq-1:0]     idx_req_i,
  output mem_rsp_t     [NumReq-1:0]     idx_rsp_o,
  output index_entry_t [NumReq-1:0]     idx_rdata_o,

  // line writes
  input  logic        [1:0]             lw_valid_i,
  output logic        [1:0]             lw_ready_o,
  input  line_write_t [1:0]             lw_line_i,

  // line reads
  input  line_read_req_t [NumRead-1:0]  lr_req_i,
  output line_read_rsp_t [NumRead-1:0]  lr_rsp_o,

  // a few cycles late; with the residual lines that streaming processors read
  output logic [ActReadW-1:0]           act_reads_o,
  output logic [HitW-1:0]               act_hits_o,
  output logic [IdxReadW-1:0]           idx_reads_o,
  output logic [HitW-1:0]               idx_hits_o
);

  localparam int unsigned ActBankW  = $clog2(ActBanks);
  localparam int unsigned ActEntryW = $clog2(ActDepth);
  localparam int unsigned IdxBankW  = $clog2(IdxBanks);
  localparam int unsigned IdxEntryW = $clog2(IdxDepth);
  localparam int unsigned EntryW    = $bits(index_entry_t);
  typedef logic [LineWords-1:0][WordW-1:0] words_t;

  // Where an index entry lies, bank in the low bits: the bank's number by the two lowest digits of the entry's.
  function automatic addr_t place(input addr_t index);
    return index ^ addr_t'(index[2*IdxBankW-1:IdxBankW]);
  endfunction

  // The banks of a line's words, from that of the first on.
  function automatic logic [ActBanks-1:0] banks_of(input logic [ActBankW-1:0] first, input logic [3:0] words);
    logic [ActBankW-1:0] word;
    for (int unsigned b = 0; b < ActBanks; b++) begin
      word        = ActBankW'(b) - first;
      banks_of[b] = 32'(word) < 32'(words);
    end
  endfunction

  // ---- Line writes: the writer whose turn it is, which passes to the other where that one waits ----
  logic                turn_q;
  logic                take;            // a line
  logic                write_q;         // the line is written in this cycle
  logic [ActBanks-1:0] write_banks_q;   // to these banks
  // verilator lint_off UNUSEDSIGNAL
  line_write_t         line, line_q;    // of its addresses as many bits as the memories have
  // verilator lint_on UNUSEDSIGNAL

  assign lw_ready_o = {turn_q, !turn_q};
  assign line       = lw_line_i[turn_q];
  assign take       = lw_valid_i[turn_q];

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      turn_q        <= 1'b0;
      write_q       <= 1'b0;
      write_banks_q <= '0;
    end else begin
      if (start_i)                  turn_q <= 1'b0;
      else if (lw_valid_i[!turn_q]) turn_q <= !turn_q;
      write_q       <= take;
      write_banks_q <= take ? banks_of(line.ptr[ActBankW-1:0], line.words) : '0;
    end
  end

  always_ff @(posedge clk_i) begin
    if (take) line_q <= line;
  end

  // ---- Line reads: request, index entry, number of words, words ----
  typedef logic [NumRead-1:0] readers_t;   // one of them

  typedef struct packed {
    readers_t reader;
    addr_t    idx_addr;
  } request_t;

  typedef struct packed {
    readers_t                      reader;
    bitmap_t                       bitmap;
    logic [ActBankW+ActEntryW-1:0] ptr;
  } line_read_t;

  typedef struct packed {
    line_read_t line;
    logic [3:0] words;
  } counted_t;

  logic                read_valid, entry_read, words_read;
  // verilator lint_off UNUSEDSIGNAL
  addr_t               write_idx, read_idx;  // index entries' places
  index_entry_t        coming;
  // verilator lint_on UNUSEDSIGNAL
  logic                coming_q;             // an index entry is at its bank's output
  logic [IdxBankW-1:0] coming_bank_q;
  readers_t            coming_reader_q;
  logic                entry_valid, entry_take;
  line_read_t          next;
  logic [1:0]          entries_q;            // read and not taken
  counted_t            counted;              // next, with its number of words
  npos_t               count;
  logic     [1:0]      head_valid_q;         // the two oldest lines whose words are not read, [0] before [1]
  counted_t [1:0]      head_q;
  logic [1:0][LineWords-1:0] head_words;     // which they have
  logic [1:0][ActBanks-1:0]  head_banks;     // where these are
  logic     [1:0]      head_ready;
  logic                second;               // [1] goes first
  readers_t            read_reader;
  logic [ActBankW-1:0] read_first;           // bank
  logic [ActBanks-1:0] read_banks;
  readers_t            sent_q;               // the words are at the banks' outputs, for one of them
  logic                sent_second_q;        // which of the two it was
  bitmap_t [1:0]       sent_bitmap_q;        // of both: the choice among them has many loads
  logic [ActBankW-1:0] sent_bank_q;          // of the first
  logic [LineWords-1:0] sent_words_q;        // those that the line has
  logic                requests_ready;
  logic [IdxBanks-1:0][EntryW-1:0] idx_dir_rdata;
  logic [ActBanks-1:0][WordW-1:0]  act_dir_rdata;

  // Whose turn it is to ask; it passes to the next one that waits.
  readers_t asking, below, above, others, read_turn_q;
  request_t request, read_request;

  function automatic readers_t lowest(input readers_t from);
    return from & (~from + readers_t'(1));
  endfunction

  always_comb begin
    request = '0;
    for (int unsigned i = 0; i < NumRead; i++) begin
      asking[i] = lr_req_i[i].valid;
      request.idx_addr |= {AddrW{read_turn_q[i]}} & lr_req_i[i].idx_addr;
    end
    request.reader = read_turn_q;
  end

  // Those above the one whose turn it is, else those below.
  assign below  = read_turn_q - readers_t'(1);
  assign above  = asking & ~(read_turn_q | below);
  assign others = above != '0 ? above : asking & below;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni)          read_turn_q <= readers_t'(1);
    else if (start_i)     read_turn_q <= readers_t'(1);
    else if (others != '0 && (requests_ready || (asking & read_turn_q) == '0)) read_turn_q <= lowest(others);
  end

  assign write_idx  = place(line_q.idx_addr);
  assign read_idx   = place(read_request.idx_addr);
  assign entry_take = entry_valid && (!head_valid_q[1] || words_read);
  assign entry_read = read_valid && entries_q != 2'd3
                      && !(write_q && write_idx[IdxBankW-1:0] == read_idx[IdxBankW-1:0]);

  spcore_fifo #(
    .Width($bits(request_t)), .Depth(2)
  ) u_requests (
    .clk_i, .rst_ni, .clear_i(1'b0),
    .valid_i((asking & read_turn_q) != '0), .ready_o(requests_ready), .data_i(request),
    .valid_o(read_valid), .ready_i(entry_read), .data_o(read_request),
    .level_o()
  );

  spcore_fifo #(
    .Width($bits(line_read_t)), .Depth(3)
  ) u_entries (
    .clk_i, .rst_ni, .clear_i(1'b0),
    .valid_i(coming_q), .ready_o(),   // read only with room
    .data_i({coming_reader_q, coming.bitmap, coming.ptr[ActBankW+ActEntryW-1:0]}),
    .valid_o(entry_valid), .ready_i(entry_take), .data_o(next),
    .level_o()
  );

  assign coming = idx_dir_rdata[coming_bank_q];
  assign count  = npos_t'($countones(next.bitmap));
  assign counted = '{line: next, words: 4'((count + npos_t'(WordBytes - 1)) >> $clog2(WordBytes))};

  always_comb begin
    for (int unsigned i = 0; i < 2; i++) begin
      for (int unsigned j = 0; j < LineWords; j++) head_words[i][j] = 4'(j) < head_q[i].words;
      head_banks[i] = ActBanks'(head_words[i]);
      for (int unsigned s = 0; s < ActBankW; s++) begin
        if (head_q[i].line.ptr[s]) head_banks[i] = head_banks[i] << (1 << s) | head_banks[i] >> (ActBanks - (1 << s));
      end
      head_ready[i] = head_valid_q[i] && (write_banks_q & head_banks[i]) == '0;
    end
    if (head_q[1].line.reader == head_q[0].line.reader) head_ready[1] = 1'b0;
  end

  assign words_read  = head_ready != '0;
  assign second      = !head_ready[0];
  assign read_reader = head_q[second].line.reader;
  assign read_first  = head_q[second].line.ptr[ActBankW-1:0];
  assign read_banks  = head_banks[second];

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      coming_q        <= 1'b0;
      entries_q       <= '0;
      head_valid_q    <= '0;
      sent_q          <= '0;
    end else begin
      coming_q  <= entry_read;
      entries_q <= entries_q + 2'(entry_read) - 2'(entry_take);
      sent_q    <= words_read ? read_reader : '0;
      if (entry_take && !words_read)      head_valid_q <= {head_valid_q[0], 1'b1};
      else if (!entry_take && words_read) head_valid_q <= {1'b0, head_valid_q[1]};
    end
  end

  always_ff @(posedge clk_i) begin
    if (entry_read) begin
      coming_bank_q   <= read_idx[IdxBankW-1:0];
      coming_reader_q <= read_request.reader;
    end
    if (!head_valid_q[0] || head_ready[0]) head_q[0] <= head_valid_q[1] ? head_q[1] : counted;
    if (entry_take)                        head_q[1] <= counted;
    if (words_read) begin
      sent_second_q <= second;
      for (int unsigned i = 0; i < 2; i++) sent_bitmap_q[i] <= head_q[i].line.bitmap;
      sent_bank_q   <= read_first;
      sent_words_q  <= head_words[second];
    end
  end

  words_t                         sent_words;
  logic [ActBanks-1:0][WordW-1:0] sent_banks;   // from the first on

  always_comb begin
    sent_banks = act_dir_rdata;
    for (int unsigned s = 0; s < ActBankW; s++) begin
      if (sent_bank_q[s]) sent_banks = sent_banks >> (WordW << s) | sent_banks << (WordW * (ActBanks - (1 << s)));
    end
    for (int unsigned j = 0; j < LineWords; j++) sent_words[j] = sent_words_q[j] ? sent_banks[j] : '0;
  end

  for (genvar i = 0; i < NumRead; i++) begin : gen_lr_rsp
    assign lr_rsp_o[i] = '{
        gnt: read_turn_q[i] & requests_ready, rvalid: sent_q[i], bitmap: sent_bitmap_q[sent_second_q], bytes: sent_words
    };
  end

  // ---- Accesses for layers: the PEs' and those for residual lines, as late as banked_mem's ----
  logic [3:0]          line_words_q;
  logic [2:1]          line_entry_q;
  logic [ActReadW-1:0] act_reads;
  logic [IdxReadW-1:0] idx_reads;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      line_words_q <= '0;
      line_entry_q <= '0;
    end else begin
      line_words_q <= sent_q[NumRead-2:0] != '0 ? 4'($countones(sent_words_q)) : 4'd0;
      line_entry_q <= {line_entry_q[1], entry_read && !read_request.reader[NumRead-1]};
    end
  end

  // A bank has one access a cycle: the sums fit.
  assign act_reads_o = act_reads + ActReadW'(line_words_q);
  assign idx_reads_o = idx_reads + IdxReadW'(line_entry_q[2]);

  // ---- Direct ports ----
  logic [ActBanks-1:0]                act_dir_en;
  logic [ActBanks-1:0][ActEntryW-1:0] act_dir_addr;
  logic [ActBanks-1:0][WordW-1:0]     act_dir_wdata;
  logic [IdxBanks-1:0]                idx_dir_en, idx_dir_we;
  logic [IdxBanks-1:0][IdxEntryW-1:0] idx_dir_addr;
  logic [1:0][ActEntryW-1:0]          write_row, read_row;   // [1]: in banks below that of the line's first word
  logic [1:0][1:0][ActEntryW-1:0]     head_row;
  words_t                             write_words;   // bank b's, if it has one: word b modulo the words of a line

  assign write_row = {line_q.ptr[ActBankW+:ActEntryW] + ActEntryW'(1), line_q.ptr[ActBankW+:ActEntryW]};
  assign read_row  = head_row[second];

  always_comb begin
    for (int unsigned i = 0; i < 2; i++) begin
      head_row[i][0] = head_q[i].line.ptr[ActBankW+:ActEntryW];
      head_row[i][1] = head_row[i][0] + ActEntryW'(1);
    end
    write_words = line_q.bytes;
    for (int unsigned s = 0; s < $clog2(LineWords); s++) begin
      if (line_q.ptr[s]) write_words = write_words << (WordW << s) | write_words >> (WordW * (LineWords - (1 << s)));
    end
    act_dir_en = write_banks_q | (words_read ? read_banks : '0);
    for (int unsigned b = 0; b < ActBanks; b++) begin
      act_dir_addr[b]  = write_banks_q[b] ? write_row[ActBankW'(b) < line_q.ptr[ActBankW-1:0]]
                                          : read_row[ActBankW'(b) < read_first];
      act_dir_wdata[b] = write_words[b%LineWords];
    end
    for (int unsigned b = 0; b < IdxBanks; b++) begin
      idx_dir_we[b]   = write_q && write_idx[IdxBankW-1:0] == IdxBankW'(b);
      idx_dir_en[b]   = idx_dir_we[b] || entry_read && read_idx[IdxBankW-1:0] == IdxBankW'(b);
      idx_dir_addr[b] = idx_dir_we[b] ? write_idx[IdxBankW+:IdxEntryW] : read_idx[IdxBankW+:IdxEntryW];
    end
  end

  spcore_banked_mem #(
    .NumReq(NumReq), .Banks(ActBanks), .Depth(ActDepth), .Width(WordW)
  ) u_activation_memory (
    .clk_i, .rst_ni, .start_i,
    .req_i(act_req_i), .rsp_o(act_rsp_o), .rdata_o(act_rdata_o),
    .dir_en_i(act_dir_en), .dir_we_i(write_banks_q), .dir_addr_i(act_dir_addr), .dir_wdata_i(act_dir_wdata),
    .dir_rdata_o(act_dir_rdata),
    .reads_o(act_reads), .hits_o(act_hits_o)
  );

  mem_req_t [NumReq-1:0] idx_req;

  always_comb begin
    idx_req = idx_req_i;
    for (int unsigned i = 0; i < NumReq; i++) idx_req[i].addr = place(idx_req_i[i].addr);
  end

  spcore_banked_mem #(
    .NumReq(NumReq), .Banks(IdxBanks), .Depth(IdxDepth), .Width(EntryW)
  ) u_index_memory (
    .clk_i, .rst_ni, .start_i,
    .req_i(idx_req), .rsp_o(idx_rsp_o), .rdata_o(idx_rdata_o),
    .dir_en_i(idx_dir_en), .dir_we_i(idx_dir_we), .dir_addr_i(idx_dir_addr),
    .dir_wdata_i({IdxBanks{line_q.bitmap, line_q.ptr}}),
    .dir_rdata_o(idx_dir_rdata),
    .reads_o(idx_reads), .hits_o(idx_hits_o)
  );

  if (NumRead < 2) begin : gen_check_num_read
    $error("%m: NumRead = %0d, expected at least 2", NumRead);
  end
  if (ActBanks < LineWords) begin : gen_check_act_banks
    $error("%m: ActBanks = %0d, expected at least %0d, the words of a line", ActBanks, LineWords);
  end

endmodule
