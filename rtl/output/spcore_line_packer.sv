// SPDX-License-Identifier: Apache-2.0
// Stages of line_compressor's network: in stage s a byte moves down by 2^s, if bit s of the number of zeros below it is set;
// the number goes with it.

module spcore_line_packer
  import sparsecore_pkg::*;
  import spcore_output_pkg::*;
#(
  parameter int unsigned First = 0,
  parameter int unsigned Last  = 5
) (
  input  logic   valid_i,   // otherwise items_o is not defined
  input  items_t items_i,
  output items_t items_o
);

  always_comb begin
    bitmap_t stay, go;
    items_o = 'x;
    stay    = 'x;
    go      = 'x;
    if (valid_i) begin
      items_o = items_i;
      for (int unsigned s = First; s <= Last; s++) begin
        stay          = items_o.valid & ~items_o.zeros[s];
        go            = items_o.valid & items_o.zeros[s];
        items_o.valid = stay | (go >> (1 << s));
        for (int unsigned i = 0; i < PosW; i++) begin
          items_o.zeros[i] = (items_o.zeros[i] & stay) | ((items_o.zeros[i] & go) >> (1 << s));
        end
        for (int unsigned b = 0; b < LinePos; b++) begin
          if (b + (1 << s) < LinePos) begin
            items_o.bytes[b] = ({8{stay[b]}} & items_o.bytes[b]) | ({8{go[b+(1<<s)]}} & items_o.bytes[b+(1<<s)]);
          end else begin
            items_o.bytes[b] = {8{stay[b]}} & items_o.bytes[b];
          end
        end
      end
    end
  end

endmodule
