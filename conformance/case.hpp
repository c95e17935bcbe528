// What a conformance case is and what it may use. A case file includes this and calls the public C API.
#pragma once

#include <flagos.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <source_location>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace flagos::conformance {

enum class Level { core, full, optional };  // optional: mandatory when its feature is not ABSENT
enum class Oracle { exact, model, order, code, delta, live, bound, stat };
enum class Isolation { shared, own, multi, destructive };

class Context;

// What stands in the catalogue about a case.
struct CaseOptions {
  const char* clause;  // requirement: an entry point or "design 3: ..." in a few words
  Level level = Level::core;
  Oracle oracle = Oracle::exact;
  Isolation isolation = Isolation::shared;
  const char* feature = "";   // of FLAGOS_FEATURE_*: "graph", "capture", "host_callback", ...
  bool query = false;         // cannot fail on the null plugin, by its nature
  bool smoke = false;         // need not kill a mutant
  std::uint32_t seconds = 0;  // time limit, 0: the default of the isolation class
};

struct Case {
  std::string id;
  CaseOptions options;
  void (*run)(Context&);
  std::source_location where;
};

// All cases, sorted by id.
const std::vector<Case>& all_cases();

struct Registrar {
  Registrar(const char* id, const CaseOptions& options, void (*run)(Context&),
            std::source_location where = std::source_location::current());
};

#define FLAGOS_CASE_JOIN2(a, b) a##b
#define FLAGOS_CASE_JOIN(a, b) FLAGOS_CASE_JOIN2(a, b)
// FLAGOS_CASE("copy.len_zero", {.clause = "flagos_memory_copy"}) { ... uses `t` ... }
#define FLAGOS_CASE(id, ...)                                                                   \
  static void FLAGOS_CASE_JOIN(case_, __LINE__)(::flagos::conformance::Context & t);           \
  static const ::flagos::conformance::Registrar FLAGOS_CASE_JOIN(registrar_, __LINE__)(        \
      id, ::flagos::conformance::CaseOptions __VA_ARGS__, &FLAGOS_CASE_JOIN(case_, __LINE__)); \
  static void FLAGOS_CASE_JOIN(case_, __LINE__)([[maybe_unused]] ::flagos::conformance::Context & t)

// Thrown by a failing check and by skip; only the harness catches it.
struct CaseEnded {};

// One run of one case: checks, devices, kernels, data. Checks and accessors end the case when they fail.
class Context {
 public:
  struct Settings {
    std::string plugin_path;
    std::uint32_t device_ordinal = 0;  // of the plugin
    std::uint64_t seed = 0;
    std::string kernels_dir;  // the suite's own kernels, one pack per format
    std::string helper_path;  // the suite's executable, for cases that start processes
    bool quick = false;       // smaller sizes and fewer repeats
    bool null_check =
        false;  // canaries are not judged: the case's own checks must see the null plugin
  };

  Context(const Case& the_case, const Settings& settings);
  ~Context();

  // ---- checks; each counts -----------------------------------------------------------------------------------
  // `what` says what was expected; the values go into the text.
  void check(bool condition, const std::string& what,
             std::source_location where = std::source_location::current());
  void ok(flagos_status_t status, const std::string& what,
          std::source_location where = std::source_location::current());
  void status(flagos_status_t actual, flagos_status_t expected, const std::string& what,
              std::source_location where = std::source_location::current());
  void equal(std::uint64_t actual, std::uint64_t expected, const std::string& what,
             std::source_location where = std::source_location::current());
  // Names the first byte that differs; adds the bytes to the digest.
  void equal_bytes(std::span<const std::uint8_t> actual, std::span<const std::uint8_t> expected,
                   const std::string& what,
                   std::source_location where = std::source_location::current());
  [[noreturn]] void fail(const std::string& what,
                         std::source_location where = std::source_location::current());
  // Not a failure: the device does not offer it (NOT_SUPPORTED), or the machine is too small (RESOURCE).
  [[noreturn]] void not_supported(const std::string& why);
  [[noreturn]] void resource(const std::string& why);
  // Stands before the text of every failing check from here on: the parameters of the subcase. Counts subcases.
  void subcase(const std::string& parameters);
  void digest(std::span<const std::uint8_t> bytes);

  // ---- the plugin under test ------------------------------------------------------------------------------------
  const Settings& settings() const;
  flagos_runtime_t*
  runtime();  // with this plugin only; made at first use, destroyed after the case
  flagos_device_t*
  device();  // opened at first use, closed after the case; a close with BUSY is a LEAK
  const flagos_device_info_t& info();
  flagos_support_t support(flagos_feature_t feature);
  bool has(flagos_feature_t feature) { return support(feature) != FLAGOS_SUPPORT_ABSENT; }
  void require(flagos_feature_t feature);  // not_supported when absent
  void require_capability(
      std::uint64_t capability);  // FLAGOS_DEVICE_CAPABILITY_*: not_supported when not offered
  // A kernel of the suite by name, in the best format that the device takes and the suite has; belongs to the context.
  flagos_kernel_t* kernel(const std::string& name);
  flagos_module_t* module();  // the suite's pack, loaded
  std::vector<std::uint8_t> module_image(
      std::string* out_format);  // its bytes, to load, cut and spoil
  std::string module_path();     // its file
  // Copy, kernel, copy back on a fresh stream, data compared: "the next valid call works".
  void smoke();

  std::mt19937_64& random();  // derived from the seed and the case's id
  std::uint64_t random_below(std::uint64_t bound);
  std::vector<std::uint8_t> random_bytes(std::size_t size);
  // Runs `body` in a forked child; returns its exit code, or 1000 + signal.  Not for code that uses the device.
  int in_child(const std::function<int()>& body, double seconds);
  // Starts the suite's executable afresh, with `--helper name arguments...` (see FLAGOS_HELPER); its exit code or
  // 1000 + signal; 2000 when it had to be killed after `seconds`.
  int run_helper(const std::string& name, const std::vector<std::string>& arguments, double seconds,
                 std::string* out_text = nullptr);

  struct State;
  State& state() { return *state_; }

 private:
  std::unique_ptr<State> state_;
};

// A function that runs in a process of its own: FLAGOS_HELPER("exit_without_shutdown") { return 0; }, sees `h`.
struct Helper {
  Context::Settings settings;
  std::vector<std::string> arguments;
};
struct HelperRegistrar {
  HelperRegistrar(const char* name, int (*run)(Helper&));
};
#define FLAGOS_HELPER(name)                                                          \
  static int FLAGOS_CASE_JOIN(helper_, __LINE__)(::flagos::conformance::Helper & h); \
  static const ::flagos::conformance::HelperRegistrar FLAGOS_CASE_JOIN(              \
      helper_registrar_, __LINE__)(name, &FLAGOS_CASE_JOIN(helper_, __LINE__));      \
  static int FLAGOS_CASE_JOIN(helper_, __LINE__)([[maybe_unused]] ::flagos::conformance::Helper & h)

// ---- owners; they destroy in the destructor -------------------------------------------------------------------------

class Stream {
 public:
  explicit Stream(Context& t, std::int32_t priority = 0);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  operator flagos_stream_t*() const { return stream_; }
  void synchronize();          // checks OK, waits at most 60 s
  flagos_stream_t* release();  // the caller destroys it

 private:
  Context& t_;
  flagos_stream_t* stream_ = nullptr;
};

class Event {
 public:
  explicit Event(Context& t, std::uint32_t flags = 0);
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  operator flagos_event_t*() const { return event_; }
  flagos_event_t* release();

 private:
  Context& t_;
  flagos_event_t* event_ = nullptr;
};

// Memory between two canaries of 64 KiB, poisoned at the start. verify() (and the destructor) check the canaries.
class Buffer {
 public:
  Buffer(Context& t, std::uint64_t size, flagos_memory_kind_t kind = FLAGOS_MEMORY_KIND_DEVICE);
  ~Buffer() noexcept(false);
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  flagos_address_t address(std::uint64_t offset = 0) const { return address_ + offset; }
  std::uint64_t size() const { return size_; }
  void* pointer(std::uint64_t offset = 0) const;  // pinned and managed only
  void write(std::span<const std::uint8_t> bytes, std::uint64_t offset = 0);  // synchronous
  std::vector<std::uint8_t> read();                                           // synchronous
  std::vector<std::uint8_t> read(std::uint64_t offset, std::uint64_t size);
  void verify();
  static constexpr std::uint8_t poison = 0xa5;

 private:
  Context& t_;
  flagos_address_t base_ = 0;
  flagos_address_t address_ = 0;
  std::uint64_t size_;
  flagos_memory_kind_t kind_;
};

// Keeps a stream busy until release(), or 20 s: a kernel that spins on a flag in pinned memory.
class Blocker {
 public:
  Blocker(Context& t, flagos_stream_t* stream);
  ~Blocker();
  Blocker(const Blocker&) = delete;
  Blocker& operator=(const Blocker&) = delete;
  void release();

 private:
  Context& t_;
  flagos_address_t flag_ = 0;
  bool host_visible_ = true;  // else the flag is device memory, written by a copy on another stream
};

// Launches with arguments in the convenient form: launch(t, stream, kernel, {4, 1, 1}, {64, 1, 1}, {arg(x), arg(n)}).
flagos_argument_t arg(flagos_address_t value);  // an address
flagos_argument_t arg_u32(std::uint32_t value);
flagos_argument_t arg_u64(std::uint64_t value);
flagos_argument_t arg_f32(float value);
struct Dim3 {
  std::uint32_t x = 1, y = 1, z = 1;
};
flagos_launch_desc_t launch_desc(Dim3 grid, Dim3 block,
                                 const std::vector<flagos_argument_t>& arguments = {},
                                 std::uint32_t shared_bytes = 0);  // borrows `arguments`
void launch(Context& t, flagos_stream_t* stream, flagos_kernel_t* kernel, Dim3 grid, Dim3 block,
            const std::vector<flagos_argument_t>& arguments = {}, std::uint32_t shared_bytes = 0);

// Seconds on the monotonic clock.
double now_seconds();

// Whether this build carries a sanitizer: it brings threads, handlers and memory of its own.
constexpr bool sanitized() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return true;
#else
  return false;
#endif
}

// What a process holds, for the cases that look for growth. A sanitizer keeps what was freed, and its own memory grows:
// there, bytes and mappings are 0, and what is lost it finds itself.
struct Resources {
  std::uint64_t rss_bytes, file_descriptors, threads, maps;
};
Resources resources_now();

}  // namespace flagos::conformance
