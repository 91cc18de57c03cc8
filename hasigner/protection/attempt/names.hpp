#pragma once

#include <array>
#include <string_view>

#include "hasigner/protection/attempt/state.hpp"

namespace hasigner::attempt {

// The names of docs/protocol.md, in the order of the variants.

inline constexpr std::array<std::string_view, std::variant_size_v<State>> kStateNames = {"New",
                                                                                         "Queued",
                                                                                         "Signing first",
                                                                                         "Awaiting lease",
                                                                                         "Claiming",
                                                                                         "Claiming signed",
                                                                                         "Looking",
                                                                                         "Waiting",
                                                                                         "Taking over",
                                                                                         "Backing off",
                                                                                         "Confirming stored",
                                                                                         "Signing",
                                                                                         "Recording",
                                                                                         "Record backing off",
                                                                                         "Inspecting",
                                                                                         "Releasing",
                                                                                         "Unsettled",
                                                                                         "Releasing for caller",
                                                                                         "Done"};

inline constexpr std::array<std::string_view, std::variant_size_v<Event>> kEventNames = {"Begun",
                                                                                         "Turn came",
                                                                                         "Lease held",
                                                                                         "Lease refused",
                                                                                         "Lease not renewed",
                                                                                         "Signature made",
                                                                                         "Signing failed",
                                                                                         "Claim answered",
                                                                                         "Signed claim answered",
                                                                                         "View answered",
                                                                                         "Takeover answered",
                                                                                         "Record answered",
                                                                                         "Stored confirmed",
                                                                                         "Release answered",
                                                                                         "Store failed",
                                                                                         "In flight ended",
                                                                                         "Delivered",
                                                                                         "Time up",
                                                                                         "Stopped"};

inline constexpr std::array<std::string_view, std::variant_size_v<Action>> kActionNames = {
    "join queue",        "ensure lease",    "await heartbeat", "sign",        "send claim",
    "send signed claim", "send look",       "send takeover",   "send record", "confirm stored",
    "send release",      "await in flight", "pause",           "finish",      "end"};

}  // namespace hasigner::attempt
