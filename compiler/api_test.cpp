// The C functions: every status that they promise, structs of other sizes, handles of all kinds.
#include <doctest/doctest.h>
#include <flagos_compiler.h>

#include <cstring>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr const char* kText =
    "flagos.tile 1.0\n\nkernel @add(%x: ptr<bf16> {readonly, noalias, align=16}, %n: i32 {div=16}) constexpr(BM=4) {\n"
    "  print %n {message=\"n\"}\n  %0 = gt %n, %n : i1\n  assert %0 {message=\"no\"}\n}\n\nkernel @none() {\n}\n\n"
    "locations\nfile \"a.cpp\"\nat @add\n0:1 0:2 0:3\n";

flagos_tile_module_desc_t desc_of(const std::string& text) {
  flagos_tile_module_desc_t desc{};
  desc.struct_size = sizeof desc;
  desc.text = text.data();
  desc.size_bytes = text.size();
  return desc;
}

flagos_status_t create(const std::string& text, flagos_tile_module_t** out) {
  const flagos_tile_module_desc_t desc = desc_of(text);
  return flagos_tile_module_create(&desc, out);
}

bool said(const std::string& words) {
  return std::string(flagos_compiler_last_error()).find(words) != std::string::npos;
}

struct Module {
  Module() { REQUIRE(create(kText, &handle) == FLAGOS_STATUS_OK); }
  ~Module() { flagos_tile_module_destroy(handle); }
  flagos_tile_module_t* handle = nullptr;
};

flagos_tile_interpret_desc_t launch_of(uint32_t kernel) {
  flagos_tile_interpret_desc_t desc{};
  desc.struct_size = sizeof desc;
  desc.kernel = kernel;
  desc.grid[0] = desc.grid[1] = desc.grid[2] = 1;
  desc.argument_stride = sizeof(flagos_tile_argument_t);
  return desc;
}

}  // namespace

TEST_CASE("text, hash and kernels of a module") {
  const Module module;
  CHECK(flagos_tile_get_version() == FLAGOS_TILE_VERSION);
  const char* text = nullptr;
  uint64_t size = 0;
  REQUIRE(flagos_tile_module_get_text(module.handle, FLAGOS_TILE_TEXT_FLAG_LOCATIONS, &text, &size) ==
          FLAGOS_STATUS_OK);
  CHECK(std::string(text, size) == kText);
  REQUIRE(flagos_tile_module_get_text(module.handle, 0, &text, nullptr) == FLAGOS_STATUS_OK);
  CHECK(std::string(text) == std::string(kText).substr(0, std::string(kText).find("\nlocations")));
  uint8_t hash[32] = {}, zero[32] = {};
  REQUIRE(flagos_tile_module_get_hash(module.handle, hash) == FLAGOS_STATUS_OK);
  CHECK(std::memcmp(hash, zero, 32) != 0);

  uint32_t count = 0, kernel = 7;
  CHECK(flagos_tile_module_get_kernel_count(module.handle, &count) == FLAGOS_STATUS_OK);
  CHECK(count == 2);
  CHECK(flagos_tile_module_find_kernel(module.handle, "none", &kernel) == FLAGOS_STATUS_OK);
  CHECK(kernel == 1);
  CHECK(flagos_tile_module_find_kernel(module.handle, "nine", &kernel) == FLAGOS_STATUS_NOT_FOUND);
  CHECK(said("the module has no kernel 'nine'"));
  flagos_tile_kernel_info_t info{};
  info.struct_size = sizeof info;
  REQUIRE(flagos_tile_module_get_kernel_info(module.handle, 0, &info) == FLAGOS_STATUS_OK);
  CHECK(info.argument_count == 2);
  CHECK(std::string(info.name) == "add");
  CHECK(std::string(info.constants) == "BM=4");
  CHECK(flagos_tile_module_get_kernel_info(module.handle, 2, &info) == FLAGOS_STATUS_NOT_FOUND);
  CHECK(info.name == nullptr);
  CHECK(info.struct_size == sizeof info);
  flagos_tile_argument_info_t argument{};
  argument.struct_size = sizeof argument;
  REQUIRE(flagos_tile_module_get_argument_info(module.handle, 0, 0, &argument) == FLAGOS_STATUS_OK);
  CHECK(argument.dtype == FLAGOS_DTYPE_BFLOAT16);
  CHECK(argument.flags ==
        (FLAGOS_TILE_ARGUMENT_FLAG_POINTER | FLAGOS_TILE_ARGUMENT_FLAG_READONLY | FLAGOS_TILE_ARGUMENT_FLAG_NOALIAS));
  CHECK(std::string(argument.facts) == "readonly, noalias, align=16");
  REQUIRE(flagos_tile_module_get_argument_info(module.handle, 0, 1, &argument) == FLAGOS_STATUS_OK);
  CHECK(argument.dtype == FLAGOS_DTYPE_INT32);
  CHECK(argument.flags == 0);
  CHECK(std::string(argument.name) == "n");
  CHECK(flagos_tile_module_get_argument_info(module.handle, 0, 2, &argument) == FLAGOS_STATUS_NOT_FOUND);
  CHECK(said("argument 2 of 2 of kernel 'add'"));
}

TEST_CASE("what is refused, and how") {
  flagos_tile_module_t* module = reinterpret_cast<flagos_tile_module_t*>(1);
  CHECK(create("nonsense", &module) == FLAGOS_STATUS_INVALID_IMAGE);
  CHECK(module == nullptr);
  CHECK(said("line 1, column 1: the first line is not 'flagos.tile 1.0'"));
  CHECK(create("", &module) == FLAGOS_STATUS_INVALID_IMAGE);
  CHECK(create("flagos.tile 2.0\n", &module) == FLAGOS_STATUS_UNSUPPORTED_VERSION);
  CHECK(flagos_tile_module_create(nullptr, &module) == FLAGOS_STATUS_INVALID_ARGUMENT);
  const std::string text = kText;
  flagos_tile_module_desc_t desc = desc_of(text);
  CHECK(flagos_tile_module_create(&desc, nullptr) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(said("out_module is NULL"));
  desc.text = nullptr;
  CHECK(flagos_tile_module_create(&desc, &module) == FLAGOS_STATUS_INVALID_ARGUMENT);
  desc = desc_of(text);
  desc.struct_size = 8;
  CHECK(flagos_tile_module_create(&desc, &module) == FLAGOS_STATUS_INVALID_STRUCT_SIZE);
  desc.struct_size = 0xffffffff;
  CHECK(flagos_tile_module_create(&desc, &module) == FLAGOS_STATUS_INVALID_STRUCT_SIZE);
  desc = desc_of(text);
  desc.padding = 1;
  CHECK(flagos_tile_module_create(&desc, &module) == FLAGOS_STATUS_UNSUPPORTED);
  struct {
    flagos_tile_module_desc_t desc;
    uint64_t newer;
  } longer{desc_of(text), 0};
  longer.desc.struct_size = sizeof longer;
  CHECK(flagos_tile_module_create(&longer.desc, &module) == FLAGOS_STATUS_OK);
  CHECK(flagos_tile_module_destroy(module) == FLAGOS_STATUS_OK);
  longer.newer = 5;
  CHECK(flagos_tile_module_create(&longer.desc, &module) == FLAGOS_STATUS_UNSUPPORTED);
  flagos_extension_t extension{sizeof extension, 3, nullptr};
  desc = desc_of(text);
  desc.next = &extension;
  CHECK(flagos_tile_module_create(&desc, &module) == FLAGOS_STATUS_UNSUPPORTED);
  CHECK(said("chained struct of type 3 is not known"));
  extension.type |= FLAGOS_EXTENSION_IGNORABLE;
  CHECK(flagos_tile_module_create(&desc, &module) == FLAGOS_STATUS_OK);
  CHECK(flagos_tile_module_destroy(module) == FLAGOS_STATUS_OK);
  extension.next = &extension;
  CHECK(flagos_tile_module_create(&desc, &module) == FLAGOS_STATUS_INVALID_ARGUMENT);
}

TEST_CASE("diagnostics reach the callback with the author's line") {
  const std::string text =
      "flagos.tile 1.0\nkernel @t(%n: i32) {\n%0 = exp %n : i32\n%1 = sin %n : i32\n}\n\nlocations\nfile \"b.cpp\"\nat "
      "@t\n0:8 ?\n";
  flagos_tile_module_desc_t desc = desc_of(text);
  std::vector<std::string> seen;
  desc.context = &seen;
  desc.on_diagnostic = [](void* context, const flagos_tile_diagnostic_t* d) {
    static_cast<std::vector<std::string>*>(context)->push_back(std::to_string(d->line) + " " +
                                                               std::to_string(d->column) + " " + d->author_file + " " +
                                                               std::to_string(d->author_line) + " " + d->reason);
  };
  flagos_tile_module_t* module = nullptr;
  CHECK(flagos_tile_module_create(&desc, &module) == FLAGOS_STATUS_INVALID_IMAGE);
  CHECK(seen == std::vector<std::string>{"3 1 b.cpp 8 exp: operand 0 is i32; it takes floating-point numbers",
                                         "4 1  0 sin: operand 0 is i32; it takes floating-point numbers"});
  CHECK(said("line 3, column 1 (b.cpp:8): exp"));
}

TEST_CASE("handles are values") {
  uint32_t count = 5;
  flagos_tile_module_t* stale = nullptr;
  REQUIRE(create(kText, &stale) == FLAGOS_STATUS_OK);
  CHECK(flagos_tile_module_destroy(stale) == FLAGOS_STATUS_OK);
  for (flagos_tile_module_t* bad :
       {stale, static_cast<flagos_tile_module_t*>(nullptr), reinterpret_cast<flagos_tile_module_t*>(0x1234567)}) {
    CHECK(flagos_tile_module_get_kernel_count(bad, &count) == FLAGOS_STATUS_INVALID_HANDLE);
    CHECK(count == 0);
    const flagos_tile_interpret_desc_t desc = launch_of(0);
    CHECK(flagos_tile_module_interpret(bad, &desc) == FLAGOS_STATUS_INVALID_HANDLE);
  }
  CHECK(flagos_tile_module_destroy(stale) == FLAGOS_STATUS_INVALID_HANDLE);
  CHECK(flagos_tile_module_destroy(nullptr) == FLAGOS_STATUS_OK);
  const Module module;
  const char* text = nullptr;
  CHECK(flagos_tile_module_get_text(module.handle, 2, &text, nullptr) == FLAGOS_STATUS_UNSUPPORTED);
  CHECK(flagos_tile_module_get_text(module.handle, 0, nullptr, nullptr) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(flagos_tile_module_get_hash(module.handle, nullptr) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(flagos_tile_module_find_kernel(module.handle, nullptr, &count) == FLAGOS_STATUS_INVALID_ARGUMENT);
  flagos_tile_kernel_info_t info{};
  info.struct_size = 4;
  CHECK(flagos_tile_module_get_kernel_info(module.handle, 0, &info) == FLAGOS_STATUS_INVALID_STRUCT_SIZE);
}

TEST_CASE("interpret: arguments, reports, failures") {
  const Module module;
  flagos_tile_interpret_desc_t desc = launch_of(1);
  CHECK(flagos_tile_module_interpret(module.handle, &desc) == FLAGOS_STATUS_OK);
  desc.kernel = 2;
  CHECK(flagos_tile_module_interpret(module.handle, &desc) == FLAGOS_STATUS_NOT_FOUND);
  desc.kernel = 0;
  CHECK(flagos_tile_module_interpret(module.handle, &desc) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(said("kernel 'add' takes 2 arguments, not 0"));
  const flagos_tile_argument_t arguments[2] = {{0, 0}, {5, 0}};
  desc.argument_count = 2;
  CHECK(flagos_tile_module_interpret(module.handle, &desc) == FLAGOS_STATUS_INVALID_ARGUMENT);
  desc.arguments = arguments;
  std::vector<std::string> reports;
  desc.context = &reports;
  desc.on_report = [](void* context, const flagos_tile_report_t* r) {
    static_cast<std::vector<std::string>*>(context)->push_back(
        std::string(r->author_file) + ":" + std::to_string(r->author_line) + " " + std::to_string(r->failed_assert) +
        " " + r->text + " " + std::to_string(r->program[0]));
  };
  CHECK(flagos_tile_module_interpret(module.handle, &desc) == FLAGOS_STATUS_EXECUTION_FAILED);
  CHECK(said("(a.cpp:3): assert: element 0 does not hold: no; kernel 'add', program (0, 0, 0)"));
  CHECK(reports == std::vector<std::string>{"a.cpp:1 0 n 5 0", "a.cpp:3 1 no 0"});
  desc.step_limit = 1;
  CHECK(flagos_tile_module_interpret(module.handle, &desc) == FLAGOS_STATUS_EXECUTION_FAILED);
  desc.argument_stride = 4;
  CHECK(flagos_tile_module_interpret(module.handle, &desc) == FLAGOS_STATUS_INVALID_STRUCT_SIZE);
  desc = launch_of(0);
  desc.grid[1] = 0;
  desc.argument_count = 2;
  desc.arguments = arguments;
  CHECK(flagos_tile_module_interpret(module.handle, &desc) == FLAGOS_STATUS_OK);

  std::string huge = "flagos.tile 1.0\nkernel @t() {\n";
  for (int i = 0; i < 200; ++i) huge += "%x" + std::to_string(i) + " = const {value=0} : tile<1048576xi8>\n";
  flagos_tile_module_t* large = nullptr;
  REQUIRE(create(huge + "}\n", &large) == FLAGOS_STATUS_OK);
  desc = launch_of(0);
  CHECK(flagos_tile_module_interpret(large, &desc) == FLAGOS_STATUS_OUT_OF_RESOURCES);
  CHECK(flagos_tile_module_destroy(large) == FLAGOS_STATUS_OK);
}

TEST_CASE("threads make, use and take modules at once") {
  std::vector<std::thread> threads;
  std::vector<int> failures(4, 0);
  for (std::size_t t = 0; t < failures.size(); ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        flagos_tile_module_t* module = nullptr;
        const flagos_tile_interpret_desc_t desc = launch_of(1);
        failures[t] += create(kText, &module) != FLAGOS_STATUS_OK;
        failures[t] += flagos_tile_module_interpret(module, &desc) != FLAGOS_STATUS_OK;
        failures[t] += flagos_tile_module_destroy(module) != FLAGOS_STATUS_OK;
        failures[t] +=
            create("x", &module) != FLAGOS_STATUS_INVALID_IMAGE || std::strlen(flagos_compiler_last_error()) == 0;
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(failures == std::vector<int>(4, 0));
}
