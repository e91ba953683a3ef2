// SPDX-License-Identifier: Apache-2.0

// Simulation only: where the file of a memory lies, and that it holds what the memory needs.
//
// path() is the name for $readmemh.  A relative file is looked for beside the sources of the cells
// first, as synthesis does that knows them, then from the folder in which the simulation runs.  The
// simulation ends with an error if there is none, or if it has not Words lines of digits: a memory
// of silent zeros would give outputs as smooth as the right ones.
`ifndef SYNTHESIS
module vecq_memory_file #(
  parameter     File,
  parameter int Words = 1
);

  function automatic string path();
    string here, line;
    int handle, lines;

    here = `__FILE__;
    for (int n = here.len() - 1; n >= 0; n--) begin
      if (here[n] == "/" || here[n] == "\\") break;
      here = n == 0 ? "" : here.substr(0, n - 1);
    end
    path   = {here, File};
    handle = $fopen(path, "r");
    if (handle == 0) begin
      path   = {"", File};
      handle = $fopen(path, "r");
    end
    if (handle == 0) begin
      $fatal(1, "there is no memory file '%s', neither in '%s' nor where this runs",
             path, here);
    end
    lines = 0;
    while ($fgets(line, handle) != 0) begin
      if (line.len() > 0 && line[0] != "/" && line[0] != "\n") lines++;
    end
    $fclose(handle);
    if (lines != Words) begin
      $fatal(1, "the memory file '%s' must have %0d words, but has %0d", path, Words, lines);
    end
  endfunction

endmodule
`endif
