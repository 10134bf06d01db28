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
    logic       flush;
    addr_t      base;        // first entry
    addr_t      count;       // beats, at least 1
    logic [1:0] k_log2;      // weights only
    logic [2:0] m_log2;
  } wgt_cmd_t;

  typedef struct packed {
    logic     busy_weights;
    logic     busy_params;
    logic     discard;
    logic     done_weights;  // the last beat is being written
    logic     done_params;
    wgt_err_t err;
    addr_t    err_info;      // number of the faulty beat, until flush
  } wgt_status_t;

  typedef struct packed {
    logic  start;
    logic  flush;
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

  // A layer is pushed for one cycle, whether the queue takes it or not.
  typedef struct packed {
    logic   push;
    layer_t layer;
  } layer_cmd_t;

  typedef struct packed {
    logic       ready;       // the queue has room
    logic       busy;        // a layer runs or waits
    logic [7:0] level;       // layers that wait
    logic       done;        // also of a refused layer
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

  // Registers as the core sees them: commands (pulses) and their arguments, and what the host reads.
  typedef struct packed {
    logic wgt_load;
    logic par_load;
    logic act_load;
    logic layer_push;
    logic result_send;
    logic wgt_flush;
    logic act_flush;
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
    logic [15:0] pe_select;
  } reg2hw_t;

  typedef struct packed {
    logic wgt_done;
    logic par_done;
    logic act_done;
    logic layer_done;
    logic result_done;
    logic error;
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
    logic [7:0] queue_level;
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
    counters_t    counters;
    pe_counters_t pe_counters;
  } hw2reg_t;

endpackage
