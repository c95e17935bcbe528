// Rows of neg.error_code_exact: modules and launches.
#include "conformance/cases/neg_codes.hpp"

namespace flagos::conformance {
namespace {

constexpr auto invalid_argument = FLAGOS_STATUS_INVALID_ARGUMENT;
constexpr auto invalid_size = FLAGOS_STATUS_INVALID_STRUCT_SIZE;
constexpr auto invalid_image = FLAGOS_STATUS_INVALID_IMAGE;
constexpr auto unsupported = FLAGOS_STATUS_UNSUPPORTED;
constexpr auto not_found = FLAGOS_STATUS_NOT_FOUND;

void load_rows(std::vector<CodeRow>& rows, const CodeFacts& facts) {
  using Desc = flagos_module_desc_t;
  const auto bad = [&](const std::string& what, auto change_desc, flagos_status_t status) {
    rows.push_back({"flagos_module_load", what, change<Desc>("desc", change_desc), status});
  };
  bad(
      "no format", [](Desc& desc) { desc.format = nullptr; }, invalid_argument);
  for (const char* const format : {"", "no-such-format", "ELF-SO", "spirv ", "%s"})
    bad(
        "format '" + std::string(format) + "'", [=](Desc& desc) { desc.format = format; },
        unsupported);
  bad(
      "neither path nor data",
      [](Desc& desc) {
        desc.data = nullptr;
        desc.size_bytes = 0;
      },
      invalid_argument);
  bad(
      "both path and data", [](Desc& desc) { desc.path = "/etc/hostname"; }, invalid_argument);
  bad(
      "an empty image", [](Desc& desc) { desc.size_bytes = 0; }, invalid_image);
  // A text may be complete without its last lines; what is no program of its language, its compiler says.
  if (facts.has_binary_image) {
    for (const std::uint64_t size : {1, 4, 16, 63, 64, 100})
      bad(
          "an image cut to " + std::to_string(size), [=](Desc& desc) { desc.size_bytes = size; },
          invalid_image);
    bad(
        "half an image", [](Desc& desc) { desc.size_bytes /= 2; }, invalid_image);
  }
  static const char garbage[] =
      "this is no kernel image of any format, whatever its length may be, is it? No, it is not.";
  bad(
      "garbage",
      [](Desc& desc) {
        desc.data = garbage;
        desc.size_bytes = sizeof garbage - 1;
      },
      facts.has_binary_image ? invalid_image : FLAGOS_STATUS_COMPILE_FAILED);
  bad(
      "flags 1", [](Desc& desc) { desc.flags = 1; }, unsupported);
  bad(
      "struct_size 8", [](Desc& desc) { desc.struct_size = 8; }, invalid_size);
  bad(
      "an unknown extension", [](Desc& desc) { desc.next = required_extension(); }, unsupported);
  if ((facts.format.flags & FLAGOS_FORMAT_FLAG_PATH) == 0) return;
  for (const char* const path : {"/nonexistent/kernels", "no-such-file", ""})
    bad(
        "path '" + std::string(path) + "'",
        [=](Desc& desc) {
          desc.path = path;
          desc.data = nullptr;
          desc.size_bytes = 0;
        },
        not_found);
}

void kernel_rows(std::vector<CodeRow>& rows, const CodeFacts& facts) {
  using Desc = flagos_kernel_desc_t;
  const auto bad = [&](const std::string& what, auto change_desc, flagos_status_t status) {
    rows.push_back({"flagos_module_get_kernel", what, change<Desc>("desc", change_desc), status});
  };
  bad(
      "no name", [](Desc& desc) { desc.name = nullptr; }, invalid_argument);
  bad(
      "an empty name", [](Desc& desc) { desc.name = ""; }, invalid_argument);
  for (const char* const name :
       {"copy_u3", "copy_u322", "COPY_U32", " copy_u32", "copy_u32 ", "no_such_kernel"})
    bad(
        "name '" + std::string(name) + "'", [=](Desc& desc) { desc.name = name; }, not_found);
  bad(
      "flags 1", [](Desc& desc) { desc.flags = 1; }, unsupported);
  bad(
      "struct_size 16", [](Desc& desc) { desc.struct_size = 16; }, invalid_size);
  bad(
      "an unknown extension", [](Desc& desc) { desc.next = required_extension(); }, unsupported);

  static const std::vector<std::pair<const char*, std::vector<flagos_parameter_t>>> signatures{
      {"parameters that overlap",
       {{FLAGOS_DTYPE_ADDRESS, 8, 8, 0},
        {FLAGOS_DTYPE_ADDRESS, 8, 8, 0},
        {FLAGOS_DTYPE_UINT32, 4, 4, 16}}},
      {"a misaligned parameter",
       {{FLAGOS_DTYPE_ADDRESS, 8, 8, 0},
        {FLAGOS_DTYPE_ADDRESS, 8, 8, 12},
        {FLAGOS_DTYPE_UINT32, 4, 4, 20}}},
      {"an alignment of 3",
       {{FLAGOS_DTYPE_ADDRESS, 8, 3, 0},
        {FLAGOS_DTYPE_ADDRESS, 8, 8, 8},
        {FLAGOS_DTYPE_UINT32, 4, 4, 16}}},
      {"an alignment of 128",
       {{FLAGOS_DTYPE_ADDRESS, 8, 128, 0},
        {FLAGOS_DTYPE_ADDRESS, 8, 8, 8},
        {FLAGOS_DTYPE_UINT32, 4, 4, 16}}},
      {"a parameter of no bytes",
       {{FLAGOS_DTYPE_ADDRESS, 0, 8, 0},
        {FLAGOS_DTYPE_ADDRESS, 8, 8, 8},
        {FLAGOS_DTYPE_UINT32, 4, 4, 16}}},
      {"a parameter that wraps", {{FLAGOS_DTYPE_BYTES, UINT32_MAX, 4, 0xfffffffcu}}}};
  for (const auto& [what, parameters] : signatures)
    bad(
        what,
        [&parameters = parameters](Desc& desc) {
          desc.parameters = parameters.data();
          desc.parameter_count = static_cast<std::uint32_t>(parameters.size());
        },
        invalid_argument);
  if ((facts.kernel.flags & FLAGOS_KERNEL_FLAG_SIGNATURE) == 0) return;
  static const std::vector<std::pair<const char*, std::vector<flagos_parameter_t>>> contradictions{
      {"too few parameters", {{FLAGOS_DTYPE_ADDRESS, 8, 8, 0}, {FLAGOS_DTYPE_ADDRESS, 8, 8, 8}}},
      {"another type",
       {{FLAGOS_DTYPE_ADDRESS, 8, 8, 0},
        {FLAGOS_DTYPE_FLOAT64, 8, 8, 8},
        {FLAGOS_DTYPE_UINT32, 4, 4, 16}}},
      {"too many parameters",
       {{FLAGOS_DTYPE_ADDRESS, 8, 8, 0},
        {FLAGOS_DTYPE_ADDRESS, 8, 8, 8},
        {FLAGOS_DTYPE_UINT32, 4, 4, 16},
        {FLAGOS_DTYPE_UINT32, 4, 4, 20}}}};
  for (const auto& [what, parameters] : contradictions)
    bad(
        what,
        [&parameters = parameters](Desc& desc) {
          desc.parameters = parameters.data();
          desc.parameter_count = static_cast<std::uint32_t>(parameters.size());
        },
        invalid_argument);
}

using Launch = flagos_launch_desc_t;

void shape_rows(std::vector<CodeRow>& rows, const char* entry, const CodeFacts& facts) {
  const auto bad = [&](const std::string& what, auto change_desc) {
    rows.push_back({entry, what, change<Launch>("desc", change_desc), invalid_argument});
  };
  for (int i = 0; i < 3; ++i) {
    const std::string dimension(1, "xyz"[i]);
    const std::uint32_t grid = facts.device.max_grid[i], block = facts.device.max_block[i];
    if (grid < UINT32_MAX)
      bad("grid " + dimension + " one above the limit",
          [=](Launch& desc) { desc.grid[i] = grid + 1; });
    if (block < UINT32_MAX)
      bad("block " + dimension + " one above the limit",
          [=](Launch& desc) { desc.block[i] = block + 1; });
    bad("block " + dimension + " of 2^32 - 1", [=](Launch& desc) { desc.block[i] = UINT32_MAX; });
  }
  bad("a block whose threads wrap", [](Launch& desc) {
    desc.block[0] = desc.block[1] = 65536;
    desc.block[2] = 1;
  });
  if (facts.kernel.max_block_threads < UINT32_MAX)
    bad("more threads than the kernel takes",
        [limit = facts.kernel.max_block_threads](Launch& desc) {
          desc.block[0] = limit;
          desc.block[1] = 2;
        });
  bad("more shared memory than there is",
      [limit = facts.device.max_shared_bytes](Launch& desc) { desc.shared_bytes = limit + 1; });
  bad("2^32 - 1 bytes of shared memory", [](Launch& desc) { desc.shared_bytes = UINT32_MAX; });
}

void argument_rows(std::vector<CodeRow>& rows, const char* entry, const CodeFacts& facts) {
  const auto bad = [&](const std::string& what, auto change_desc,
                       flagos_status_t status = invalid_argument) {
    rows.push_back({entry, what, change<Launch>("desc", change_desc), status});
  };
  static const std::uint64_t block[4] = {};
  bad("arguments that are counted but not given", [](Launch& desc) { desc.arguments = nullptr; });
  bad("a block with a size but no address", [](Launch& desc) {
    desc.arguments = nullptr;
    desc.argument_count = 0;
    desc.argument_bytes = 24;
  });
  bad("both argument forms", [](Launch& desc) {
    desc.argument_block = block;
    desc.argument_bytes = 24;
  });
  bad(
      "flags 2", [](Launch& desc) { desc.flags = 2; }, unsupported);
  bad(
      "struct_size 16", [](Launch& desc) { desc.struct_size = 16; }, invalid_size);
  bad(
      "an unknown extension", [](Launch& desc) { desc.next = required_extension(); }, unsupported);
  if ((facts.kernel.flags & FLAGOS_KERNEL_FLAG_SIGNATURE) == 0) return;
  for (const std::uint32_t count : {1u, 2u, 4u, 1000u})
    bad(std::to_string(count) + " arguments for 3 parameters",
        [=](Launch& desc) { desc.argument_count = count; });
  bad("no arguments for 3 parameters", [](Launch& desc) {
    desc.arguments = nullptr;
    desc.argument_count = 0;
  });
  for (const std::uint64_t size : {1, 8, 19, 32})
    bad("a block of " + std::to_string(size), [=](Launch& desc) {
      desc.arguments = nullptr;
      desc.argument_count = 0;
      desc.argument_block = block;
      desc.argument_bytes = size;
    });
  static const flagos_argument_t wrong_type[3] = {
      {FLAGOS_DTYPE_ADDRESS, 0, 1}, {FLAGOS_DTYPE_ADDRESS, 0, 1}, {FLAGOS_DTYPE_FLOAT64, 0, 1}};
  bad("a float64 for a uint32", [](Launch& desc) { desc.arguments = wrong_type; });
  static const flagos_argument_t wrong_size[3] = {
      {FLAGOS_DTYPE_ADDRESS, 0, 1}, {FLAGOS_DTYPE_ADDRESS, 0, 1}, {FLAGOS_DTYPE_UINT32, 8, 1}};
  bad("a uint32 of 8 bytes", [](Launch& desc) { desc.arguments = wrong_size; });
}

}  // namespace

std::vector<CodeRow> module_code_rows(const CodeFacts& facts) {
  std::vector<CodeRow> rows;
  load_rows(rows, facts);
  kernel_rows(rows, facts);
  rows.push_back({"flagos_module_get_format", "one past the end",
                  [](Call& call) {
                    std::uint32_t count = 0;
                    flagos_module_get_format_count(call.world.device(), &count);
                    call["index"] = count;
                  },
                  not_found});
  rows.push_back({"flagos_kernel_get_parameter", "one past the end",
                  [](Call& call) {
                    flagos_kernel_info_t info{};
                    info.struct_size = sizeof info;
                    flagos_kernel_get_info(call.world.kernel(), &info);
                    call["index"] = info.parameter_count;
                  },
                  not_found});
  rows.push_back({"flagos_module_get_log", "no room but a size",
                  [](Call& call) { call["text"] = 0; }, invalid_argument});
  return rows;
}

std::vector<CodeRow> launch_code_rows(const CodeFacts& facts) {
  std::vector<CodeRow> rows;
  for (const char* const entry : {"flagos_kernel_launch", "flagos_kernel_prepare"}) {
    shape_rows(rows, entry, facts);
    argument_rows(rows, entry, facts);
  }
  return rows;
}

}  // namespace flagos::conformance
