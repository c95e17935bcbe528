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

}  // namespace flagos::comm::testing
