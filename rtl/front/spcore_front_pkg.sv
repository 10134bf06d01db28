// Types between the host side (register block, loaders, result streamer) and the rest of the core.
package spcore_front_pkg;

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

endpackage
