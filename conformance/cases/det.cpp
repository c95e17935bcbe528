// The same work gives the same bits: again, elsewhere, beside other work and in other surroundings.
#include <stdlib.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstring>

#include "conformance/cases/dag.hpp"
#include "conformance/cases/graph_support.hpp"
#include "conformance/cases/process.hpp"
#include "conformance/cases/sites.hpp"
#include "conformance/sha256.hpp"

namespace flagos::conformance {
namespace {

constexpr std::uint32_t buffers = 4, words = 64;

Program program_of(Context& t, std::uint32_t streams) {
  return random_program(t, repeats(t, 200, 60), streams, buffers, words);
}

// Once on these lanes, from the same memory each time; compared with the sequential model.
void run(Context& t, const Program& program, Lanes& lanes, const std::string& what) {
  Memory memory(t, program);
  memory.run_model(program);
  issue_on_streams(t, program, memory, lanes.streams, lanes.events);
  lanes.synchronize();
  memory.verify(t, what);
}

// In a process of its own: the bits of a program whose data depends on the seed alone, as one line.
void print_digest(Context& t) {
  Stream stream(t);
  const Program program = program_of(t, 1);
  Memory memory(t, program);
  memory.run_model(program);
  for (const Operation& operation : program.operations) issue(t, stream, operation, memory);
  stream.synchronize();
  memory.verify(t, "what the model has");
  std::string bytes;
  for (std::uint32_t i = 0; i < buffers; ++i) {
    // Read again: what is printed is what the device has.
    Words copy(t, words);
    t.ok(flagos_memory_copy(stream, copy.at(), memory[i].at(), copy.size_bytes()), "copy");
    stream.synchronize();
    for (const std::uint32_t word : copy.read()) bytes += std::to_string(word) + " ";
  }
  std::printf("digest %s\n", sha256_hex(bytes).c_str());
}

std::string digest_of(Context& t, const std::string& surroundings) {
  std::string text;
  const int code = t.run_helper("det_digest", {surroundings}, 60, &text);
  t.check(code == 0,
          "the process ends with 0, it ended with " + std::to_string(code) + ": " + text);
  const std::size_t at = text.find("digest ");
  t.check(at != std::string::npos, "the process tells a digest, and said: " + text);
  return text.substr(at, 7 + 64);
}

// Launches until it is told to stop, in threads that belong to nobody else.
class Noise {
 public:
  Noise(Context& t, std::uint32_t threads) {
    for (std::uint32_t i = 0; i < threads; ++i) {
      streams_.push_back(std::make_unique<Stream>(t));
      words_.push_back(std::make_unique<Words>(t, 4096, 1));
      payloads_.push_back(std::make_unique<KernelPayload>(t.kernel("tl_affine"), shape_for(t, 4096),
                                                          affine_arguments(*words_[i], 3, 1)));
    }
    for (std::uint32_t i = 0; i < threads; ++i) {
      team_.start([this, i] {
        while (!stop_) {
          for (int n = 0; n < 8; ++n)
            failure_.note(flagos_kernel_launch(*streams_[i], payloads_[i]->node.kernel,
                                               &payloads_[i]->launch));
          failure_.note(flagos_stream_synchronize(*streams_[i], patience_ns));
          ++rounds_;
        }
      });
    }
  }
  ~Noise() { stop(); }
  Noise(const Noise&) = delete;
  Noise& operator=(const Noise&) = delete;
  void stop() {
    stop_ = true;
    team_.join();
  }
  std::uint32_t rounds() const { return rounds_; }
  flagos_status_t status() const { return failure_.status(); }

 private:
  std::vector<std::unique_ptr<Stream>> streams_;
  std::vector<std::unique_ptr<Words>> words_;
  std::vector<std::unique_ptr<KernelPayload>> payloads_;
  std::atomic<bool> stop_{false};
  std::atomic<std::uint32_t> rounds_{0};
  FirstFailure failure_;
  Team team_;
};

}  // namespace

FLAGOS_HELPER("det_digest") {
  if (h.arguments[0] == "other") {
    setenv("LC_ALL", "de_DE.UTF-8", 1);
    setenv("LANG", "tr_TR", 1);
    setenv("TZ", "Pacific/Kiritimati", 1);
    setenv("HOME", "/nowhere", 1);
    setenv("TMPDIR", "/var/tmp", 1);
    if (chdir("/") != 0) return 20;
  }
  return run_checks(h, print_digest);
}

FLAGOS_CASE("det.kernel_repeat",
            {.clause = "flagos_kernel_launch: the same bits", .oracle = Oracle::model}) {
  Stream stream(t);
  const auto values = random_words(t, 1000), sources = random_words(t, 1000);
  std::vector<std::uint32_t> wanted(1000);
  for (std::size_t i = 0; i < wanted.size(); ++i) wanted[i] = (values[i] * 5 + 7) * 3 + sources[i];
  Words target(t, 1000), source(t, 1000);
  source.write(sources);
  for (std::uint32_t n = 0; n < repeats(t, 100, 20); ++n) {
    target.write(values);
    affine(t, stream, target, 5, 7);
    mix(t, stream, target, source, 3);
    stream.synchronize();
    equal_words(t, target.read(), wanted, "launch " + std::to_string(n));
  }
}

FLAGOS_CASE("det.across_streams",
            {.clause = "flagos_stream_create: which stream makes no difference",
             .oracle = Oracle::model}) {
  for (const std::uint32_t streams : {1u, 2u, 5u, 16u}) {
    t.subcase(std::to_string(streams) + " streams");
    const Program program = program_of(t, streams);
    Lanes lanes(t, streams, 8);
    for (int n = 0; n < 3; ++n) run(t, program, lanes, "run " + std::to_string(n));
  }
}

FLAGOS_CASE("det.across_processes",
            {.clause = "flagos_kernel_launch: the same bits in every process",
             .isolation = Isolation::multi}) {
  const std::string first = digest_of(t, "same");
  for (int i = 0; i < 2; ++i)
    t.check(digest_of(t, "same") == first, "another process: the same bits");
}

FLAGOS_CASE("det.env_independent",
            {.clause = "flagos_plugin.h: get_config, never getenv; results without surroundings",
             .isolation = Isolation::multi}) {
  t.check(digest_of(t, "other") == digest_of(t, "same"),
          "another locale, time zone, home and folder: the same bits");
}

FLAGOS_CASE("det.across_devices", {.clause = "flagos_device_open: devices of one plugin",
                                   .level = Level::full,
                                   .oracle = Oracle::exact}) {
  const auto bytes = t.random_bytes(4096);
  std::vector<std::uint8_t> first;
  for (std::uint32_t i = 0; i < device_count(t); ++i) {
    t.subcase("device " + std::to_string(i));
    Site site(t, i, 8192);
    site.write(bytes);
    const std::uint32_t pattern = 0x01020304;
    t.ok(flagos_memory_fill(site.stream(), site.memory() + 4096, &pattern, 4, 4096), "fill");
    t.ok(flagos_memory_copy(site.stream(), site.memory() + 4608, site.memory() + 17, 1023), "copy");
    site.synchronize();
    const auto found = site.read();
    if (i == 0) {
      std::vector<std::uint8_t> wanted(bytes);
      for (int n = 0; n < 1024; ++n) wanted.insert(wanted.end(), {4, 3, 2, 1});
      std::copy_n(bytes.begin() + 17, 1023, wanted.begin() + 4608);
      t.equal_bytes(found, wanted, "fill and copy");
      first = found;
    }
    t.equal_bytes(found, first, "what the first device has");
  }
}

FLAGOS_CASE("det.graph_vs_eager", {.clause = "flagos_graph_exec_launch: as the calls themselves",
                                   .level = Level::optional,
                                   .oracle = Oracle::model,
                                   .feature = "graph"}) {
  const Program program = program_of(t, 1);
  Memory memory(t, program);
  Graph graph(t);
  std::vector<flagos_graph_node_t> nodes;
  for (const Operation& operation : program.operations) {
    Nodes dependencies;
    for (const std::uint32_t number : operation.dependencies) dependencies.push_back(nodes[number]);
    nodes.push_back(graph.operation(operation, memory, dependencies));
  }
  Executable executable(t, graph);
  Stream stream(t);
  for (int n = 0; n < 5; ++n) {
    executable.launch(stream);
    memory.run_model(program);
    stream.synchronize();
    memory.verify(t, "the graph, time " + std::to_string(n));
    for (const Operation& operation : program.operations) issue(t, stream, operation, memory);
    memory.run_model(program);
    stream.synchronize();
    memory.verify(t, "its calls, time " + std::to_string(n));
  }
}

FLAGOS_CASE("det.under_load", {.clause = "flagos_kernel_launch: beside other work",
                               .level = Level::full,
                               .oracle = Oracle::model}) {
  const Program program = program_of(t, 4);
  Lanes lanes(t, 4, 8);
  run(t, program, lanes, "alone");
  Noise noise(t, 3);
  for (std::uint32_t n = 0; n < repeats(t, 20, 4); ++n)
    run(t, program, lanes, "beside noise, run " + std::to_string(n));
  t.check(eventually([&] { return noise.rounds() > 0; }), "there was noise");
  noise.stop();
  t.ok(noise.status(), "the noise itself");
}

FLAGOS_CASE("det.alloc_address_independent",
            {.clause = "flagos_memory_alloc: where memory lies makes no difference",
             .level = Level::full,
             .oracle = Oracle::model}) {
  const Program program = program_of(t, 1);
  Lanes lanes(t, 1, 8);
  std::vector<std::unique_ptr<Buffer>> between;
  for (std::uint32_t n = 0; n < repeats(t, 20, 5); ++n) {
    // Moves what comes next.
    between.push_back(
        std::make_unique<Buffer>(t, 1 + t.random_below(std::uint64_t{1} << (8 + n % 12))));
    if (n % 3 == 2) between.erase(between.begin());
    run(t, program, lanes, "at other addresses, run " + std::to_string(n));
  }
}

FLAGOS_CASE("det.thread_count_independent", {.clause = "flagos.h: Threads; how many make the calls",
                                             .level = Level::full,
                                             .oracle = Oracle::model}) {
  for (const std::uint32_t threads : {1u, 3u, 8u}) {
    t.subcase(std::to_string(threads) + " threads");
    std::vector<std::unique_ptr<Stream>> streams;
    std::vector<std::unique_ptr<Words>> mine;
    std::vector<std::unique_ptr<KernelPayload>> payloads;
    for (std::uint32_t i = 0; i < 24; ++i) {
      mine.push_back(std::make_unique<Words>(t, 16, i));
      payloads.push_back(std::make_unique<KernelPayload>(t.kernel("tl_affine"), shape_for(t, 16),
                                                         affine_arguments(*mine[i], 3, i)));
      if (i < threads) streams.push_back(std::make_unique<Stream>(t));
    }
    FirstFailure failure;
    Team team;
    for (std::uint32_t thread = 0; thread < threads; ++thread) {
      team.start([&, thread] {
        for (int n = 0; n < 10; ++n)
          for (std::uint32_t i = thread; i < 24; i += threads)
            failure.note(flagos_kernel_launch(*streams[thread], payloads[i]->node.kernel,
                                              &payloads[i]->launch));
        failure.note(flagos_stream_synchronize(*streams[thread], patience_ns));
      });
    }
    team.join();
    t.ok(failure.status(), "every launch");
    for (std::uint32_t i = 0; i < 24; ++i) {
      std::uint32_t value = i;
      for (int n = 0; n < 10; ++n) value = value * 3 + i;
      equal_words(t, mine[i]->read(), std::vector<std::uint32_t>(16, value), "ten launches");
    }
  }
}

}  // namespace flagos::conformance
