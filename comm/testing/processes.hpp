// Ranks in processes of their own (rank_program.cpp), for tests that start, kill and stop them.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace flagos::comm::testing {

struct Outcome {
  int exit_code = -1;  // -1: killed by a signal, or by us because it did not end
  std::string output;

  // A number in the output, "ms=12"; UINT64_MAX where there is none.
  std::uint64_t number(const std::string& name) const;
  bool contains(const std::string& part) const { return output.find(part) != std::string::npos; }
};

class RankProcess {
 public:
  RankProcess(const std::string& program, const std::vector<std::string>& arguments,
              const std::vector<std::string>& variables);
  ~RankProcess();
  RankProcess(const RankProcess&) = delete;
  RankProcess& operator=(const RankProcess&) = delete;

  // Waits for the end, and kills what does not end by itself.
  Outcome end(int timeout_ms);

 private:
  pid_t pid_ = 0;
  int output_ = -1;
};

// Starts `size` ranks of a scenario on the devices in turn. A first variable with {rank} in it stands for a launcher's.
std::vector<std::unique_ptr<RankProcess>> start_ranks(std::uint32_t size,
                                                      const std::vector<std::string>& devices,
                                                      const std::vector<std::string>& scenario,
                                                      std::vector<std::string> variables = {});

// What became of all ranks but `victim`, if there is one, which is killed in the end (its outcome is empty). On a machine that keeps ranks from
// running for so long that they do not even meet within their timeout, they are started again, at most four times.
inline constexpr std::uint32_t no_victim = UINT32_MAX;
std::vector<Outcome> run_ranks(std::uint32_t size, std::uint32_t victim,
                               const std::vector<std::string>& scenario,
                               const std::vector<std::string>& variables);

// By how much a bound on a time may be missed, beside what a rank measured itself: the others, which it waits for, may have been
// kept from running for longer. Nothing where FLAGOS_TEST_IDLE says that nobody else uses the machine.
std::uint64_t busy_ms();

}  // namespace flagos::comm::testing
