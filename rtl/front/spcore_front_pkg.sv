// SPDX-License-Identifier: Apache-2.0
// Types between the host side (register block, loaders, result streamer) and the rest of the core.
package spcore_front_pkg;

  import sparsecore_pkg::*;

  // Why a stream was given up; one pulse, at most one bit. The fields are in the order of register ERROR.
  typedef struct packed {
    logic par_range;     // shift outside 1..62 or bit 31 of the multiplier set
    logic index_order;   // indices of a group do not ascend strictly
    logic index_range;   // index not below m
    logic tlast_late;
    logic tlast_early;
  } wgt_err_t;

  typedef struct packed {
    logic overflow;      // the line does not fit into the rest of the section
    logic bitmap;        // bit at or above the number of positions of a line
    logic population;    // TKEEP disagrees with the beat or the bitmap's population
    logic tlast_late;
    logic tlast_early;
  } act_err_t;

  // One command and one status struct an engine. A start or flush is a pulse of one cycle; the rest of a command counts with
  // its start. Also pulses: done and err.
  typedef struct packed {
    logic       start_weights;
    logic       start_params;
    logic       start_program;
    logic       flush;
    logic       cancel;       // level: what is under way ends in discard, nothing is started
    addr_t      base;        // first entry
    addr_t      count;       // beats, at least 1
    logic [1:0] k_log2;      // weights only
    logic [2:0] m_log2;
  } wgt_cmd_t;

  typedef struct packed {
    logic     busy_weights;
    logic     busy_params;
    logic     busy_program;
    logic     discard;
    logic     done_weights;  // the last beat is being written
    logic     done_params;
    logic     done_program;
    wgt_err_t err;
    addr_t    err_info;      // number of the faulty beat, until flush
  } wgt_status_t;

  typedef struct packed {
    logic  start;
    logic  flush;
    logic  cancel;            // level: what is under way ends in discard, nothing is started
    addr_t idx_base;         // index entry of the first line
    addr_t lines;            // at least 1
    addr_t base;             // section of words [base, limit)
    addr_t limit;
    npos_t line_pos;         // positions of a line
  } act_cmd_t;

  typedef struct packed {
    logic     busy;
    logic     discard;
    logic     done;          // the last line is written
    act_err_t err;
    addr_t    err_info;      // number of the faulty line, until flush
    addr_t    used_end;      // first word of the section not used
  } act_status_t;

  typedef struct packed {
    logic  start;
    addr_t idx_base;         // index entry of the first line
    addr_t lines;            // at least 1
  } res_cmd_t;

  typedef struct packed {
    logic busy;
    logic done;              // the last beat was taken in the previous cycle
  } res_status_t;

  // A layer is pushed for one cycle, whether the queue takes it or not. It is prepared then. One of a program starts when it
  // has been issued, some time after its push; layers are issued in their order.
  typedef struct packed {
    logic   push;
    logic   in_run;          // level: layers are a program's; a second one may be open beside an older one
    logic   issue;           // pulse
    logic   cancel;          // level: layers that were not issued are dropped
    layer_t layer;
  } layer_cmd_t;

  typedef struct packed {
    logic       ready;       // the queue has room
    logic       busy;        // a layer is open or waits
    logic [7:0] level;       // layers that wait
    logic       done;        // pulse: the oldest layer has ended, or was refused
    logic       refused;     // pulse, with the number of the check that failed
    logic [4:0] refused_code;
    logic       overflow;    // pulse: the output section is full
  } layer_status_t;

  // Counters of the current or last layer (docs/architecture.md section 8).
  typedef struct packed {
    logic [31:0] cycles;
    logic [63:0] macs;
    logic [47:0] busy;           // PE-cycles by state
    logic [47:0] no_weight;
    logic [47:0] no_activation;
    logic [47:0] drain;
    logic [47:0] no_unit;
    logic [31:0] wgt_reads;      // bank accesses, and further PEs served by them
    logic [31:0] wgt_hits;
    logic [31:0] act_reads;
    logic [31:0] act_hits;
    logic [31:0] idx_reads;
    logic [31:0] idx_hits;
    logic [31:0] lines_written;
    logic [31:0] bytes_written;
  } counters_t;

  // ---- programs (docs/architecture.md, "Programs") ----
  // Engines, in this order everywhere.
  parameter int unsigned NumEngines = 4;
  typedef enum logic [1:0] {
    EngWeights     = 2'd0,   // and parameters
    EngActivations = 2'd1,
    EngLayers      = 2'd2,
    EngResults     = 2'd3
  } engine_e;

  // Words of a descriptor by engine; word 0 has its waits.
  parameter int unsigned DescriptorWords [NumEngines] = '{2, 3, 16, 2};
  parameter int unsigned LayerWords = DescriptorWords[EngLayers];

  typedef logic [$clog2(LayerWords)-1:0] descriptor_index_t;
  typedef logic [15:0] prg_addr_t;   // word of the Program Memory, and number of words
  typedef logic [63:0] prg_word_t;
  typedef logic [14:0] ndesc_t;      // number of descriptors of an engine in an iteration

  // A wait for one engine, as a descriptor has four: not before that engine has retired `count` of this or of the previous
  // iteration.
  typedef struct packed {
    logic   previous;
    ndesc_t count;
  } wait_t;

  // How far an engine is: what it retires next.
  typedef struct packed {
    logic       done;      // nothing is left
    logic [2:0] round;     // iteration, modulo 8
    ndesc_t     number;    // of the descriptor within it
  } progress_t;

  // What ended a run.
  typedef struct packed {
    logic    failed;
    engine_e engine;
    ndesc_t  descriptor;   // of the engine, within the iteration
    dim_t    iteration;
  } run_error_t;

  // To the program unit. What comes with a start counts with it.
  typedef struct packed {
    logic                       start;      // of a run
    logic                       issue;      // level: descriptors may be issued
    logic      [NumEngines-1:0] retire;     // pulses: the oldest descriptor that an engine was given has retired
    prg_addr_t [NumEngines-1:0] base;       // of the engine's descriptors
    ndesc_t    [NumEngines-1:0] count;
    dim_t                       iterations; // at least 1
  } program_cmd_t;

  // From it: words of the descriptors to come, pulses with which an engine's descriptor is issued, and how far each engine
  // is. The words stay until the cycle after the issue; a layer's until the one after it may be prepared, ahead of that.
  typedef struct packed {
    logic   [NumEngines-1:0] we;            // at most one
    descriptor_index_t       index;         // of the word in the descriptor, from 1 on
    prg_word_t               word;
    logic                    prepare;       // pulse: the next layer
    logic   [NumEngines-1:0] issue;
    ndesc_t [NumEngines-1:0] number;        // of the oldest descriptor under way, or the next
    dim_t   [NumEngines-1:0] iteration;
    logic                    done;          // all that there was has retired
  } program_status_t;

  // Fields of the engines' descriptors, named as in reg2hw_t.
  typedef struct packed {
    logic       params;       // a load of parameters instead of weights
    addr_t      wgt_base;
    addr_t      wgt_count;
    logic [1:0] wgt_k_log2;
    logic [2:0] wgt_m_log2;
    addr_t      act_idx_base;
    addr_t      act_lines;
    addr_t      act_base;
    addr_t      act_limit;
    npos_t      act_line_pos;
    addr_t      res_idx_base;
    addr_t      res_lines;
    layer_t     layer;
  } descriptors_t;

  // Registers as the core sees them: commands (pulses) and their arguments, and what the host reads.
  typedef struct packed {
    logic wgt_load;
    logic par_load;
    logic act_load;
    logic layer_push;
    logic result_send;
    logic wgt_flush;
    logic act_flush;
    logic prg_load;
    logic run;
  } ctrl_t;

  typedef struct packed {
    ctrl_t       ctrl;
    logic        soft_reset;
    addr_t       wgt_base;
    addr_t       wgt_count;
    logic [1:0]  wgt_k_log2;
    logic [2:0]  wgt_m_log2;
    addr_t       par_base;
    addr_t       par_count;
    addr_t       act_idx_base;
    addr_t       act_lines;
    addr_t       act_base;
    addr_t       act_limit;
    npos_t       act_line_pos;
    addr_t       res_idx_base;
    addr_t       res_lines;
    layer_t      layer;
    prg_addr_t   prg_base;
    prg_addr_t   prg_count;
    prg_addr_t   [NumEngines-1:0] run_base;
    ndesc_t      [NumEngines-1:0] run_count;
    dim_t        run_iterations;
    logic [15:0] pe_select;
  } reg2hw_t;

  typedef struct packed {
    logic wgt_done;
    logic par_done;
    logic act_done;
    logic layer_done;
    logic result_done;
    logic error;
    logic prg_done;
    logic run_done;
  } intr_t;

  typedef struct packed {
    wgt_err_t wgt;
    act_err_t act;
    logic     out_overflow;
    logic     descriptor;
    logic     command_busy;
    logic     command_range;
  } error_t;

  typedef struct packed {
    logic       wgt_busy;
    logic       par_busy;
    logic       act_busy;
    logic       layer_busy;
    logic       result_busy;
    logic       wgt_discard;
    logic       act_discard;
    logic       prg_busy;
    logic [7:0] queue_level;
    logic       run_busy;
  } status_t;

  typedef struct packed {
    logic         clear;    // of all sticky bits
    intr_t        intr;     // pulses that set sticky bits
    error_t       error;
    status_t      status;
    addr_t        wgt_err_info;
    addr_t        act_err_info;
    logic [4:0]   descriptor_error;
    addr_t        act_end;
    run_error_t   run_error;
    counters_t    counters;
    pe_counters_t pe_counters;
  } hw2reg_t;

  // A layer from words 1 to 15 of its descriptor, which are its registers in pairs (rtl/csr/sparsecore.rdl).
  // verilator lint_off UNUSEDSIGNAL
  function automatic layer_t layer_of(input prg_word_t [LayerWords-1:1] words);
  // verilator lint_on UNUSEDSIGNAL
    return '{
      k_log2:         words[1][1:0],
      m_log2:         words[1][6:4],
      act_signed:     words[1][8],
      out_signed:     words[1][9],
      skip:           words[1][10],
      maximum:        words[1][11],
      tap_shared:     words[1][12],
      residual:       words[1][13],
      res_signed:     words[1][14],
      out_append:     words[1][15],
      out_section:    words[1][20:16],
      keep_slot:      words[1][21],
      continue_slot:  words[1][22],
      in_c:           words[1][47:32],
      in_h:           words[2][15:0],
      in_w:           words[2][47:32],
      out_k:          words[3][15:0],
      out_h:          words[3][47:32],
      out_w:          words[4][15:0],
      kernel_r:       words[4][36:32],
      kernel_s:       words[4][44:40],
      stride_y:       words[4][49:48],
      stride_x:       words[4][51:50],
      line_h:         words[5][6:0],
      line_w:         words[5][14:8],
      lines_y:        words[5][47:32],
      lines_x:        words[5][63:48],
      tile_h:         words[6][6:0],
      tile_w:         words[6][14:8],
      tiles_y:        words[6][47:32],
      tiles_x:        words[6][63:48],
      chunks:         words[7][15:0],
      splits:         words[7][47:32],
      split_c:        words[7][63:48],
      wgt_base:       words[8][23:0],
      par_base:       words[8][55:32],
      in_idx_base:    words[9][23:0],
      out_idx_base:   words[9][55:32],
      out_act_base:   words[10][23:0],
      out_act_limit:  words[10][55:32],
      clamp_lo:       words[11][8:0],
      clamp_hi:       words[11][24:16],
      pad_top:        words[11][39:32],
      pad_left:       words[11][47:40],
      in_pitch:       words[12][23:0],
      out_pitch:      words[12][55:32],
      group_c:        words[13][15:0],
      group_chunks:   words[13][31:16],
      groups:         words[13][47:32],
      res_idx_base:   words[14][23:0],
      res_pitch:      words[14][55:32],
      res_multiplier: words[15][30:0],
      res_shift:      words[15][37:32]
    };
  endfunction

endpackage
