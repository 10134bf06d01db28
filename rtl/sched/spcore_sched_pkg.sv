// SPDX-License-Identifier: Apache-2.0
// Types inside the scheduler.
package spcore_sched_pkg;

  import sparsecore_pkg::*;

  // What a layer says of one axis of its planes.
  typedef struct packed {
    dim_t       in_size;
    dim_t       out_size;
    npos_t      tile;
    npos_t      line;       // input positions of a line along this axis
    dim_t       lines;      // and the number of lines
    stride_t    stride;
    pad_t       pad;
    kernel_t    kernel;
  } axis_t;

  // One axis of a tile: where its window lies, and which lines meet it.
  typedef struct packed {
    coord_t origin;      // window origin, negative in the padding
    npos_t  size;        // rows or columns of the tile inside the output plane
    logic   none;        // nothing of the window is inside the input plane
    dim_t   coord;       // first coordinate of the first line
    dim_t   line_first;  // lines by number, clipped to the plane
    dim_t   line_last;
    addr_t  entry;       // index entries before the first line
  } span_t;

  // The quotients that a walk along an axis starts from.
  typedef enum logic [1:0] {
    DivStep,    // from a tile's window to the next one's
    DivEnd,     // last row or column that the last tile needs
    DivLast,    // end of the first window, of a full tile
    DivOrigin   // and its origin; last, because what is divided last leaves its entry
  } div_e;

  typedef enum logic [2:0] {
    AxisHold,
    AxisLoad,    // dividend
    AxisDivide,  // one bit of the quotient
    AxisBorrow,  // dividend less one
    AxisStore,   // quotient
    AxisStep     // to the next tile; to the first one from the last one and after dividing
  } axis_op_e;

endpackage
