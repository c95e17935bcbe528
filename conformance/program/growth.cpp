// Whether what a soak holds grows: a straight line through the samples behind the warm-up.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "conformance/program/soak.hpp"
#include "conformance/statistics.hpp"

namespace flagos::conformance {
namespace {

constexpr std::size_t fewest_samples = 8;

struct Kind {
  const char* name;
  double Sample::*member;
  double noise;  // growth over the whole time that is nobody's fault
};
// Caches of the allocator and of thread stacks fill up for a while.
constexpr Kind kinds[] = {{"rss_bytes", &Sample::rss_bytes, 4 << 20},
                          {"descriptors", &Sample::descriptors, 0.5},
                          {"threads", &Sample::threads, 0.5},
                          {"mappings", &Sample::mappings, 32},
                          {"device_used_bytes", &Sample::device_used_bytes, 1 << 20}};

}  // namespace

Growth judge_growth(const std::vector<Sample>& samples) {
  Growth growth;
  nlohmann::json slopes = nlohmann::json::object();
  const std::size_t first = samples.size() / 4;  // warm-up
  growth.judged = samples.size() - first >= fewest_samples;
  for (const Kind& kind : kinds) {
    std::vector<double> at, held;
    for (std::size_t i = first; i < samples.size(); ++i) {
      at.push_back(samples[i].at / 3600);
      held.push_back(samples[i].*kind.member);
    }
    const Trend found = trend(at, held);
    const double hours = at.empty() ? 0 : at.back() - at.front();
    const bool grows = growth.judged && found.low > 0 && found.slope * hours > kind.noise;
    slopes[kind.name] = {
        {"per_hour", found.slope}, {"low", found.low}, {"high", found.high}, {"grows", grows}};
    if (grows)
      growth.grows.push_back(
          fmt::format("{} grows by {:.0f} an hour (95 % between {:.0f} and {:.0f})", kind.name,
                      found.slope, found.low, found.high));
  }
  growth.json = slopes.dump();
  return growth;
}

}  // namespace flagos::conformance
